#include "clients/cli/ingest/fingerprint.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/str_cat.h"

namespace varve::cli {
namespace {

constexpr uint64_t kPrime = 0x100000001b3;
constexpr size_t kBlockBytes = 4'096;
constexpr size_t kBlocks = 4'096;

}  // namespace

Hash& Hash::Add(std::string_view bytes) {
  for (const unsigned char byte : bytes) value_ = (value_ ^ byte) * kPrime;
  return *this;
}

Hash& Hash::Add(uint64_t number) {
  char bytes[sizeof(number)];
  std::memcpy(bytes, &number, sizeof(number));
  return Add(std::string_view(bytes, sizeof(bytes)));
}

uint64_t ContentHash(std::string_view bytes) {
  Hash hash;
  hash.Add(bytes.size());
  if (bytes.size() <= kBlocks * kBlockBytes) return hash.Add(bytes).value();
  const size_t last = bytes.size() - kBlockBytes;
  for (size_t block = 0; block < kBlocks; ++block) {
    const auto start = static_cast<unsigned __int128>(last) * block / (kBlocks - 1);
    hash.Add(bytes.substr(static_cast<size_t>(start), kBlockBytes));
  }
  return hash.value();
}

std::string ProducerOf(std::string_view run, const Numbering& numbering, uint32_t stream) {
  const BatchPlan& plan = numbering.plan;
  Hash fingerprint;
  fingerprint.Add(plan.rows)
      .Add(plan.batch_rows)
      .Add(plan.streams)
      .Add(numbering.dimension)
      .Add(static_cast<uint64_t>(numbering.dtype))
      .Add(static_cast<uint64_t>(numbering.text_ids))
      .Add(numbering.input_hash)
      .Add(numbering.ids_hash);
  for (const auto& [name, hash] : numbering.more) {
    fingerprint.Add(name.size()).Add(name).Add(hash);
  }
  return StrCat(run, "/", absl::Hex(fingerprint.value(), absl::kZeroPad16), "/", stream + 1, "of",
                plan.streams);
}

}  // namespace varve::cli
