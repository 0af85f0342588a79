#include "clients/cli/input/npy.h"

#include <charconv>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::cli {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kVersionBytes = 2;
constexpr size_t kAlignment = 64;  // of the data, as numpy has it

struct Description {
  std::string dtype;
  bool fortran_order = false;
  std::vector<uint64_t> shape;
};

// Reads the Python dictionary of a header, {'descr': '<f4', 'fortran_order': False, 'shape': (2,
// 3), }, and nothing else of Python. Every step says whether what it looks for is there.
class DescriptionParser {
 public:
  explicit DescriptionParser(std::string_view text) : text_(text) {}

  // nullopt: the text is no such dictionary.
  std::optional<Description> Parse() {
    Description description;
    bool good = Eat('{');
    while (good && !Eat('}')) good = Entry(&description) && (Eat(',') || At('}'));
    SkipSpace();
    const bool complete = good && has_dtype_ && has_order_ && has_shape_ && text_.empty();
    return complete ? std::optional(description) : std::nullopt;
  }

 private:
  bool Entry(Description* description) {
    std::string key;
    if (!String(&key) || !Eat(':')) return false;
    if (key == "descr") return has_dtype_ = String(&description->dtype);
    if (key == "fortran_order") return has_order_ = Bool(&description->fortran_order);
    if (key == "shape") return has_shape_ = Shape(&description->shape);
    return false;
  }

  void SkipSpace() {
    while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n')) {
      text_.remove_prefix(1);
    }
  }

  bool At(char c) {
    SkipSpace();
    return !text_.empty() && text_.front() == c;
  }

  bool Eat(char c) {
    if (!At(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  bool EatWord(std::string_view word) {
    SkipSpace();
    if (text_.substr(0, word.size()) != word) return false;
    text_.remove_prefix(word.size());
    return true;
  }

  bool String(std::string* out) {
    SkipSpace();
    if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) return false;
    const size_t end = text_.find(text_.front(), 1);
    if (end == std::string_view::npos) return false;
    *out = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return true;
  }

  bool Bool(bool* out) {
    *out = EatWord("True");
    return *out || EatWord("False");
  }

  bool Shape(std::vector<uint64_t>* out) {
    bool good = Eat('(');
    while (good && !Eat(')')) good = Extent(out) && (Eat(',') || At(')'));
    return good;
  }

  bool Extent(std::vector<uint64_t>* out) {
    SkipSpace();
    uint64_t extent = 0;
    const auto [stop, error] = std::from_chars(text_.data(), text_.data() + text_.size(), extent);
    if (error != std::errc()) return false;
    text_.remove_prefix(stop - text_.data());
    out->push_back(extent);
    return true;
  }

  std::string_view text_;
  bool has_dtype_ = false;
  bool has_order_ = false;
  bool has_shape_ = false;
};

absl::Status Bad(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(path, ": ", what));
}

// Cuts the preamble (magic, version, length) and the dictionary's text off `rest`.
absl::StatusOr<std::string_view> TakeDescription(const std::string& path, std::string_view* rest) {
  if (rest->substr(0, kMagic.size()) != kMagic) return Bad(path, "is not a .npy file");
  rest->remove_prefix(kMagic.size());
  if (rest->size() < kVersionBytes) return Bad(path, "is cut short within its header");
  const int version = static_cast<uint8_t>(rest->front());
  rest->remove_prefix(kVersionBytes);
  if (version < 1 || version > 3) {
    return Bad(path, StrCat("is .npy version ", version, ", wanted 1, 2 or 3"));
  }
  const size_t length_bytes = version == 1 ? 2 : 4;
  if (rest->size() < length_bytes) return Bad(path, "is cut short within its header");
  uint32_t length = 0;
  std::memcpy(&length, rest->data(), length_bytes);  // little-endian, as we are
  rest->remove_prefix(length_bytes);
  if (rest->size() < length) {
    return Bad(path, StrCat("is cut short: its header claims ", length, " bytes, ", rest->size(),
                            " are left"));
  }
  const std::string_view text = rest->substr(0, length);
  rest->remove_prefix(length);
  return text;
}

absl::StatusOr<NpyType> ParseType(const std::string& path, std::string_view dtype) {
  NpyType type;
  const char* const end = dtype.data() + dtype.size();
  if (dtype.size() < 3) return Bad(path, StrCat("has dtype '", dtype, "', which is none"));
  type.kind = dtype[1];
  const auto [stop, error] = std::from_chars(dtype.data() + 2, end, type.size);
  if (error != std::errc() || stop != end || type.size == 0 || type.size > 1'024) {
    return Bad(path, StrCat("has dtype '", dtype, "', wanted one plain number per element"));
  }
  if (dtype[0] == '>' && type.size > 1) {
    return Bad(path,
               StrCat("is big-endian (dtype '", dtype,
                      "'), wanted little-endian; in numpy: a.astype('<", dtype.substr(1), "')"));
  }
  return type;
}

template <typename T>
absl::StatusOr<std::vector<uint64_t>> Widen(const NpyArray& array, std::string_view what) {
  std::vector<uint64_t> numbers(array.data.size() / sizeof(T));
  for (size_t i = 0; i < numbers.size(); ++i) {
    T value;
    std::memcpy(&value, array.data.data() + i * sizeof(T), sizeof(T));
    if (value < T{0}) {
      return Bad(array.file.path(),
                 StrCat("row ", i, " is ", value, ", ", what, " are not negative"));
    }
    numbers[i] = static_cast<uint64_t>(value);
  }
  return numbers;
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> NpyNumbers(const NpyArray& array, std::string_view what) {
  const std::string& path = array.file.path();
  if (array.shape.size() != 1) {
    return Bad(path, StrCat("has shape ", NpyShapeText(array.shape), ", wanted (rows,)"));
  }
  if (array.type == NpyType{'u', 8}) return Widen<uint64_t>(array, what);
  if (array.type == NpyType{'u', 4}) return Widen<uint32_t>(array, what);
  if (array.type == NpyType{'i', 8}) return Widen<int64_t>(array, what);
  if (array.type == NpyType{'i', 4}) return Widen<int32_t>(array, what);
  return Bad(path, StrCat("holds elements of type ", std::string(1, array.type.kind),
                          array.type.size, ", wanted u8, u4, i8 or i4"));
}

absl::StatusOr<NpyArray> OpenNpy(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  std::string_view rest = file.bytes();
  VARVE_ASSIGN_OR_RETURN(const std::string_view text, TakeDescription(path, &rest));
  const std::optional<Description> description = DescriptionParser(text).Parse();
  if (!description) {
    return Bad(path,
               "has a header that does not name descr (one plain dtype), fortran_order and "
               "shape");
  }
  VARVE_ASSIGN_OR_RETURN(const NpyType type, ParseType(path, description->dtype));
  if (description->fortran_order && description->shape.size() > 1) {
    return Bad(path, "is in Fortran order, wanted C order; in numpy: numpy.ascontiguousarray(a)");
  }
  unsigned __int128 wanted = type.size;
  for (const uint64_t extent : description->shape) {
    wanted *= extent;
    // Larger than any file: no matter what the next extents are, save 0.
    if (wanted > (uint64_t{1} << 62)) wanted = uint64_t{1} << 62;
  }
  if (wanted != rest.size()) {
    return Bad(
        path,
        StrCat("holds ", rest.size(), " bytes of data, wanted ", static_cast<uint64_t>(wanted),
               " for shape ", NpyShapeText(description->shape), " of '", description->dtype,
               wanted > rest.size() ? "': it is cut short" : "': bytes are left over"));
  }
  return NpyArray{std::move(file), type, description->shape, rest};
}

std::string NpyShapeText(const std::vector<uint64_t>& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += StrCat(i == 0 ? "" : ", ", shape[i]);
  }
  return text + (shape.size() == 1 ? ",)" : ")");
}

std::string NpyHeader(std::string_view dtype, const std::vector<uint64_t>& shape) {
  std::string text = StrCat("{'descr': '", dtype,
                            "', 'fortran_order': False, 'shape': ", NpyShapeText(shape), ", }");
  const size_t before = kMagic.size() + kVersionBytes + sizeof(uint16_t);
  const size_t unpadded = before + text.size() + 1;
  text.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  text += '\n';
  const auto length = static_cast<uint16_t>(text.size());
  std::string header(kMagic);
  header += {'\x01', '\x00', static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  return header + text;
}

}  // namespace varve::cli
