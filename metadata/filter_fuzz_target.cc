// What libFuzzer and the fuzz driver call: the reader of filters meets text of any kind. What it takes
// must be well formed, and written out it must be the same filter again. Then the filter meets the
// same bytes as a record's metadata, damaged as that may be.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "metadata/filter.h"

namespace varve::metadata {
namespace {

[[noreturn]] void Fail(const std::string& text, const std::string& what) {
  std::fprintf(stderr, "%s\n  %s\n", text.c_str(), what.c_str());
  std::abort();
}

void Read(std::string_view bytes) {
  const auto filter = ParseFilter(bytes);
  if (!filter.ok()) return;
  const std::string text = ToString(*filter);
  if (const absl::Status status = ValidateFilter(*filter); !status.ok()) {
    Fail(text, status.ToString());
  }
  // Written out it may be longer than what was read.
  if (text.size() <= kFilterTextBytesMax) {
    const auto again = ParseFilter(text);
    if (!again.ok()) Fail(text, again.status().ToString());
    if (ToString(*again) != text) Fail(text, ToString(*again));
  }
  Matches(*filter, bytes);
}

}  // namespace
}  // namespace varve::metadata

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  varve::metadata::Read({reinterpret_cast<const char*>(data), size});
  return 0;
}
