#include "metadata/value.h"

#include <charconv>
#include <cmath>

#include "absl/time/time.h"
#include "base/str_cat.h"

namespace varve::metadata {
namespace {

// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z: what a protobuf Timestamp may be.
constexpr int64_t kMicrosMin = -62'135'596'800'000'000;
constexpr int64_t kMicrosMax = 253'402'300'799'999'999;

template <typename T>
int Order(const T& a, const T& b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

// The double is finite. Exact: neither is made into the other where that would lose anything.
int OrderMixed(int64_t integer, double real) {
  if (real >= 0x1p63) return -1;
  if (real < -0x1p63) return 1;
  const double whole = std::trunc(real);
  if (const int order = Order(integer, static_cast<int64_t>(whole)); order != 0) return order;
  return Order(whole, real);
}

// Whether each character up to the seconds is what RFC 3339 has there, and the last one may end it:
// absl::ParseTime is more forgiving. A second of 60 is none that a timestamp can keep.
bool LooksLikeTimestamp(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kForm.size()) return false;
  for (size_t i = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' ? !digit : text[i] != kForm[i]) return false;
  }
  const char last = text.back();
  return text[17] != '6' && (last == 'Z' || (last >= '0' && last <= '9'));
}

}  // namespace

std::string_view ValueTypeName(ValueType type) {
  switch (type) {
    case ValueType::kBool:
      return "bool";
    case ValueType::kInt64:
      return "int64";
    case ValueType::kDouble:
      return "double";
    case ValueType::kTimestamp:
      return "timestamp";
    case ValueType::kString:
      return "string";
  }
  return "unknown";
}

bool Compare(const ValueView& stored, const ValueView& wanted, int* order) {
  if (stored.type == wanted.type) {
    switch (stored.type) {
      case ValueType::kString:
        *order = stored.text.compare(wanted.text);
        return true;
      case ValueType::kDouble:
        *order = Order(stored.real, wanted.real);
        return true;
      case ValueType::kBool:
      case ValueType::kInt64:
      case ValueType::kTimestamp:
        *order = Order(stored.integer, wanted.integer);
        return true;
    }
  }
  if (stored.type == ValueType::kInt64 && wanted.type == ValueType::kDouble) {
    *order = OrderMixed(stored.integer, wanted.real);
    return true;
  }
  if (stored.type == ValueType::kDouble && wanted.type == ValueType::kInt64) {
    *order = -OrderMixed(wanted.integer, stored.real);
    return true;
  }
  if (stored.type == ValueType::kTimestamp && wanted.type == ValueType::kString) {
    int64_t micros = 0;
    if (!ParseTimestamp(wanted.text, &micros)) return false;
    *order = Order(stored.integer, micros);
    return true;
  }
  return false;
}

std::string ToString(const ValueView& value) {
  switch (value.type) {
    case ValueType::kBool:
      return value.integer != 0 ? "true" : "false";
    case ValueType::kInt64:
      return StrCat(value.integer);
    case ValueType::kDouble: {
      char buffer[32];
      const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value.real).ptr;
      return std::string(buffer, end);
    }
    case ValueType::kTimestamp:
      return FormatTimestamp(value.integer);
    case ValueType::kString:
      return StrCat("\"", value.text, "\"");
  }
  return "";
}

bool ParseTimestamp(std::string_view text, int64_t* micros) {
  if (!LooksLikeTimestamp(text)) return false;
  absl::Time time;
  if (!absl::ParseTime(absl::RFC3339_full, std::string(text), &time, nullptr)) return false;
  if (time == absl::InfiniteFuture() || time == absl::InfinitePast()) return false;
  *micros = absl::ToUnixMicros(time);
  return *micros >= kMicrosMin && *micros <= kMicrosMax;
}

std::string FormatTimestamp(int64_t micros) {
  return absl::FormatTime(absl::RFC3339_full, absl::FromUnixMicros(micros), absl::UTCTimeZone());
}

}  // namespace varve::metadata
