#include "metadata/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "absl/time/time.h"
#include "base/str_cat.h"

namespace varve::metadata {
namespace {

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

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// Whether text has the characters of a form, in which 'd' is any digit and '+' either sign.
bool HasForm(std::string_view text, std::string_view form) {
  return text.size() == form.size() &&
         std::equal(text.begin(), text.end(), form.begin(), [](char c, char wanted) {
           if (wanted == 'd') return IsDigit(c);
           return wanted == '+' ? c == '+' || c == '-' : c == wanted;
         });
}

// Whether text has the form of RFC 3339: absl::ParseTime is more forgiving. A second of 60 is none that a
// timestamp can keep.
bool LooksLikeTimestamp(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd";
  if (!HasForm(text.substr(0, kForm.size()), kForm) || text[17] == '6') return false;
  std::string_view rest = text.substr(kForm.size());
  if (rest.size() > 1 && rest[0] == '.' && IsDigit(rest[1])) {
    rest.remove_prefix(1);
    while (!rest.empty() && IsDigit(rest[0])) rest.remove_prefix(1);
  }
  return rest == "Z" || HasForm(rest, "+dd:dd");
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
  return *micros >= kTimestampMin && *micros <= kTimestampMax;
}

std::string FormatTimestamp(int64_t micros) {
  std::string text =
      absl::FormatTime(absl::RFC3339_full, absl::FromUnixMicros(micros), absl::UTCTimeZone());
  // A year is written with four digits.
  if (const size_t year = text.find('-'); year < 4) text.insert(0, 4 - year, '0');
  return text;
}

}  // namespace varve::metadata
