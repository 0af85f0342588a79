#ifndef VARVE_BASE_STR_CAT_H_
#define VARVE_BASE_STR_CAT_H_

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace varve {
namespace internal {

inline absl::string_view ForAbsl(std::string_view text) { return {text.data(), text.size()}; }
template <typename T>
const T& ForAbsl(const T& value) {
  return value;
}

}  // namespace internal

// absl::StrCat for arguments that may be std::string_view. The system's Abseil is built for C++14:
// its string_view is a type of its own, which does not convert from the standard's.
template <typename... Args>
std::string StrCat(const Args&... args) {
  return absl::StrCat(internal::ForAbsl(args)...);
}

}  // namespace varve

#endif  // VARVE_BASE_STR_CAT_H_
