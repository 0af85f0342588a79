#include "server/rpc/namespace_limits.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>

#include "absl/time/clock.h"
#include "base/str_cat.h"
#include "server/rpc/status_mapping.h"

namespace varve::server {
namespace {

constexpr absl::Duration kRetryAfter = absl::Milliseconds(100);

absl::StatusOr<engine::Occupancy::Share> Enter(const engine::Namespace& asked,
                                               engine::Occupancy& occupancy,
                                               const std::optional<uint64_t>& limit,
                                               std::string_view what) {
  auto share = occupancy.TryEnter(limit.value_or(std::numeric_limits<uint64_t>::max()));
  if (share.has_value()) return *std::move(share);
  return WithRetryAfter(absl::ResourceExhaustedError(
                            StrCat("namespace \"", asked.schema()->name, "\" is at its limit of ",
                                   *limit, " ", what, " at a time; retry a little later")),
                        kRetryAfter);
}

uint64_t IngestRate(const engine::Namespace& written) {
  return written.schema()->limits.ingest_bytes_per_second.value_or(0);
}

}  // namespace

absl::Status CheckRequestBytes(const engine::Namespace& asked, size_t bytes) {
  const auto schema = asked.schema();
  const uint64_t most = schema->limits.request_bytes.value_or(bytes);
  if (bytes <= most) return absl::OkStatus();
  return absl::ResourceExhaustedError(StrCat("namespace \"", schema->name, "\" takes requests of ",
                                             most, " bytes (max_request_bytes), got ", bytes));
}

size_t RequestBytesMax(const engine::Namespace& asked, size_t server_max) {
  return std::min<uint64_t>(server_max, asked.schema()->limits.request_bytes.value_or(server_max));
}

absl::StatusOr<engine::Occupancy::Share> BeginSearch(const engine::Namespace& searched) {
  return Enter(searched, searched.usage().searches, searched.schema()->limits.searches,
               "searches (max_searches)");
}

absl::StatusOr<engine::Occupancy::Share> OpenStream(const engine::Namespace& written) {
  return Enter(written, written.usage().streams, written.schema()->limits.streams,
               "ingest streams (max_streams)");
}

absl::Duration IngestOwed(const engine::Namespace& written) {
  return written.usage().ingest.Owed(IngestRate(written), absl::Now());
}

void CountIngest(const engine::Namespace& written, size_t bytes) {
  written.usage().ingest.Pass(bytes, IngestRate(written), absl::Now());
}

absl::Status PassIngest(const engine::Namespace& written, size_t bytes) {
  const absl::Duration owed = IngestOwed(written);
  if (owed == absl::ZeroDuration()) {
    CountIngest(written, bytes);
    return absl::OkStatus();
  }
  return WithRetryAfter(
      absl::ResourceExhaustedError(
          StrCat("namespace \"", written.schema()->name, "\" takes ", IngestRate(written),
                 " bytes a second (max_ingest_bytes_per_second), and has "
                 "got them; retry in ",
                 absl::FormatDuration(absl::Trunc(owed, absl::Milliseconds(1))))),
      owed);
}

}  // namespace varve::server
