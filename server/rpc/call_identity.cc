#include "server/rpc/call_identity.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <string_view>

#include "absl/strings/str_format.h"

namespace varve::server {
namespace {

// The parts of `traceparent`, version 00: "00-TRACE-SPAN-FLAGS". Later versions may have more behind a
// further dash.
constexpr size_t kVersionBytes = 2;
constexpr size_t kTraceIdBytes = 32;
constexpr size_t kSpanIdBytes = 16;
constexpr size_t kFlagsBytes = 2;
constexpr size_t kTraceParentBytes =
    kVersionBytes + 1 + kTraceIdBytes + 1 + kSpanIdBytes + 1 + kFlagsBytes;

// Empty when there is none; of several the first.
std::string_view Find(const ClientMetadata& metadata, const char* key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return {};
  return {found->second.data(), found->second.size()};
}

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(std::string_view text) {
  return IsLowerHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

bool IsRequestId(std::string_view text) {
  return !text.empty() && text.size() <= kRequestIdBytesMax &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

// Need not be hard to guess: it names a call and grants nothing.
std::string MakeRequestId() {
  static thread_local std::mt19937_64 random{[] {
    std::random_device seed;
    return (uint64_t{seed()} << 32) | seed();
  }()};
  return absl::StrFormat("%016x", random());
}

void TakeTraceParent(std::string_view text, CallIdentity* identity) {
  if (text.size() < kTraceParentBytes) return;
  const std::string_view version = text.substr(0, kVersionBytes);
  const std::string_view trace_id = text.substr(kVersionBytes + 1, kTraceIdBytes);
  const size_t span_at = kVersionBytes + 1 + kTraceIdBytes + 1;
  const std::string_view span_id = text.substr(span_at, kSpanIdBytes);
  const size_t flags_at = span_at + kSpanIdBytes + 1;
  if (!IsLowerHex(version) || version == "ff" || !IsId(trace_id) || !IsId(span_id)) return;
  if (!IsLowerHex(text.substr(flags_at, kFlagsBytes))) return;
  for (const size_t dash : {kVersionBytes, span_at - 1, flags_at - 1}) {
    if (text[dash] != '-') return;
  }
  if (text.size() > kTraceParentBytes && (version == "00" || text[kTraceParentBytes] != '-'))
    return;
  identity->trace_id = trace_id;
  identity->span_id = span_id;
}

}  // namespace

CallIdentity IdentifyCall(const ClientMetadata& metadata) {
  CallIdentity identity;
  const std::string_view request_id = Find(metadata, kRequestIdKey);
  identity.request_id = IsRequestId(request_id) ? std::string(request_id) : MakeRequestId();
  TakeTraceParent(Find(metadata, "traceparent"), &identity);
  return identity;
}

std::vector<LogField> LogFields(const CallIdentity& identity) {
  std::vector<LogField> fields = {{"request_id", identity.request_id}};
  if (!identity.trace_id.empty()) {
    fields.emplace_back("trace_id", identity.trace_id);
    fields.emplace_back("span_id", identity.span_id);
  }
  return fields;
}

}  // namespace varve::server
