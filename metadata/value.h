#ifndef VARVE_METADATA_VALUE_H_
#define VARVE_METADATA_VALUE_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace varve::metadata {

// What an attribute's value, or an element of its list, is. Stored: never renumber.
enum class ValueType : uint8_t {
  kBool = 1,
  kInt64 = 2,
  kDouble = 3,     // finite
  kTimestamp = 4,  // microseconds since the Unix epoch
  kString = 5,     // UTF-8
};

// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: between them timestamps lie.
inline constexpr int64_t kTimestampMin = -62'135'596'800'000'000;
inline constexpr int64_t kTimestampMax = 253'402'300'799'999'999;

// "bool", "int64", "double", "timestamp", "string".
std::string_view ValueTypeName(ValueType type);

// One scalar in someone else's memory. Only the member that the type names means anything.
struct ValueView {
  ValueType type = ValueType::kBool;
  int64_t integer = 0;  // kBool (0 or 1), kInt64, kTimestamp
  double real = 0;      // kDouble
  std::string_view text;

  static ValueView Bool(bool value) { return {.type = ValueType::kBool, .integer = value ? 1 : 0}; }
  static ValueView Int64(int64_t value) { return {.type = ValueType::kInt64, .integer = value}; }
  static ValueView Double(double value) { return {.type = ValueType::kDouble, .real = value}; }
  static ValueView Timestamp(int64_t micros) {
    return {.type = ValueType::kTimestamp, .integer = micros};
  }
  static ValueView String(std::string_view value) {
    return {.type = ValueType::kString, .text = value};
  }
};

// One scalar that owns its text.
class Value {
 public:
  explicit Value(const ValueView& value)
      : text_(value.text), type_(value.type), integer_(value.integer), real_(value.real) {}

  ValueView view() const {
    return {.type = type_, .integer = integer_, .real = real_, .text = text_};
  }

 private:
  std::string text_;
  ValueType type_;
  int64_t integer_;
  double real_;
};

// How a stored value compares with the one that somebody asks for: numbers with numbers, exactly (int64
// and double too); a timestamp also with text that writes one (RFC 3339); else each type with itself
// alone, text by bytes. Less than, equal to or greater than 0, as `stored` is to `wanted`; false when they
// do not compare.
bool Compare(const ValueView& stored, const ValueView& wanted, int* order);

// As people read it: numbers and true or false as they are, text in quotes, timestamps as RFC 3339.
std::string ToString(const ValueView& value);

// RFC 3339, "2026-11-21T10:00:00Z" or with an offset; false when `text` is none, or lies outside of the
// years 1 to 9999.
bool ParseTimestamp(std::string_view text, int64_t* micros);
std::string FormatTimestamp(int64_t micros);

}  // namespace varve::metadata

#endif  // VARVE_METADATA_VALUE_H_
