#ifndef VARVE_CLIENTS_CPP_VARVE_METADATA_H_
#define VARVE_CLIENTS_CPP_VARVE_METADATA_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/time/time.h"

namespace varve::client {

class Value;

// Scalars; they need not be of one type.
using List = std::vector<Value>;

// Attributes of a record by name. An attribute of an object has a path: {"size": {"eu": 44}} is the
// same as {"size.eu": 44}. Paths have 256 bytes at most; a record has 1,024 attributes, of 256 KiB
// together, at most.
using Metadata = std::map<std::string, Value>;

// The value of an attribute: null, a scalar, a list or an object. Null is as if the attribute were
// not there; in a merge patch it removes it. Numbers are finite; times go to the microsecond. Made
// implicitly from what it holds:
//
//   Metadata{{"price", 9.5}, {"tags", List{"sale", "new"}}, {"size", Metadata{{"eu", 44}}}}
class Value {
 public:
  using Variant =
      std::variant<std::nullptr_t, bool, int64_t, double, std::string, absl::Time, List, Metadata>;

  Value() = default;
  Value(std::nullptr_t) {}
  Value(std::string text) : variant_(std::move(text)) {}
  Value(std::string_view text) : variant_(std::string(text)) {}
  Value(const char* text) : variant_(std::string(text)) {}
  Value(absl::Time time) : variant_(time) {}
  Value(List list) : variant_(std::move(list)) {}
  Value(Metadata object) : variant_(std::move(object)) {}
  Value(std::same_as<bool> auto flag) : variant_(flag) {}
  Value(std::floating_point auto number) : variant_(static_cast<double>(number)) {}
  // Every integer that int64_t holds whatever its value is.
  template <std::integral T>
  requires(!std::same_as<T, bool> && (std::is_signed_v<T> || sizeof(T) < sizeof(int64_t)))
      Value(T number)
      : variant_(int64_t{number}) {}

  bool is_null() const { return std::holds_alternative<std::nullptr_t>(variant_); }

  // What it holds, if that is a T; else nullptr.
  template <typename T>
  const T* get_if() const {
    return std::get_if<T>(&variant_);
  }
  template <typename T>
  T* get_if() {
    return std::get_if<T>(&variant_);
  }

  const Variant& variant() const { return variant_; }
  Variant& variant() { return variant_; }

  friend bool operator==(const Value& a, const Value& b) { return a.variant_ == b.variant_; }

 private:
  Variant variant_;
};

}  // namespace varve::client

#endif  // VARVE_CLIENTS_CPP_VARVE_METADATA_H_
