#ifndef VARVE_METADATA_ATTRIBUTES_H_
#define VARVE_METADATA_ATTRIBUTES_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metadata/value.h"

// The metadata of one record: attributes, each a scalar or a list of scalars. Attributes of nested objects
// have dotted paths: {"size": {"eu": 44}} is the attribute `size.eu`.
namespace varve::metadata {

inline constexpr size_t kPathBytesMax = 256;
inline constexpr size_t kAttributesMax = 1024;                    // of one record
inline constexpr size_t kAttributesBytesMax = size_t{256} << 10;  // of one record, encoded

// One attribute's value as a client sends it.
struct Attribute {
  bool is_list = false;
  std::vector<Value> values;  // one, unless it is a list
};

// The attributes of a record by path.
using AttributeMap = std::map<std::string, Attribute, std::less<>>;

// Whether an attribute of `path` is `object`, or is in the object of that path.
bool IsPathOrBelow(std::string_view path, std::string_view object);

// OK when `path` can be an attribute's: names of 1 byte and more, with dots between them.
absl::Status CheckPath(std::string_view path);

// What is stored of a record: entries in order of path, each
//   varint bytes of the path, path, u8 kind, payload
// where kind is a ValueType, or 0 for a list: varint elements, each u8 ValueType and payload. Payloads:
// bool u8; int64, double, timestamp 8 bytes, little-endian; string varint bytes, bytes. No attributes
// are no bytes.
//
// InvalidArgument names the attribute, what was wanted and what was found: limits above, a path that is
// both a value and an object (`a` and `a.b`), a double that is not finite, text that is not UTF-8.
absl::StatusOr<std::string> EncodeAttributes(const AttributeMap& attributes);
// The same out of attributes in someone else's memory. One thread; meant to be used again and again.
class AttributeEncoder {
 public:
  // `path` and `value` must live until Encode. Paths in any order.
  void Add(std::string_view path, const ValueView& value);
  // A list, empty so far, and an element of the one begun last.
  void BeginList(std::string_view path);
  void AddToList(const ValueView& value) { Take(value); }

  // Appends the encoded attributes to `out`, and begins anew, whatever comes of it. InvalidArgument as
  // EncodeAttributes; also a path that was added twice.
  absl::Status Encode(std::string* out);

 private:
  struct Entry {
    std::string_view path;
    bool is_list = false;
    size_t begin = 0, end = 0;  // its values
  };
  void Take(const ValueView& value);
  absl::Status Append(const Entry& entry, std::string* out) const;
  // Entries are sorted: no path is there twice, or is also an object.
  absl::Status CheckPaths() const;

  std::vector<Entry> entries_;
  std::vector<ValueView> values_;
};

// DataLoss: the bytes end early, or a type is none.
absl::StatusOr<AttributeMap> DecodeAttributes(std::string_view encoded);

// Of encoded attributes those at one of the paths, or below it. Of damaged ones those before the damage.
std::string SelectAttributes(std::string_view encoded, const std::vector<std::string>& paths);

// One attribute in encoded form.
class AttributeView {
 public:
  // All of it, the path included.
  std::string_view bytes() const { return bytes_; }
  std::string_view path() const { return path_; }
  bool is_list() const { return is_list_; }
  size_t size() const { return size_; }  // values; 1 unless it is a list

  // Calls `visit` with each value in turn, until it returns false. False: the bytes are damaged.
  template <typename Visit>
  bool ForEach(Visit visit) const {
    const char* at = begin_;
    for (size_t i = 0; i < size_; ++i) {
      ValueView value;
      at = ParseValue(at, end_, &value);
      if (at == nullptr) return false;
      if (!visit(value)) return true;
    }
    return true;
  }

 private:
  friend class AttributeReader;
  // Reads a type and its payload; null when they are damaged.
  static const char* ParseValue(const char* at, const char* end, ValueView* value);

  std::string_view bytes_;
  std::string_view path_;
  bool is_list_ = false;
  size_t size_ = 0;
  const char* begin_ = nullptr;
  const char* end_ = nullptr;
};

// Reads encoded attributes one by one, in order of path. Damaged bytes end it early.
class AttributeReader {
 public:
  explicit AttributeReader(std::string_view encoded)
      : at_(encoded.data()), end_(encoded.data() + encoded.size()) {}

  // False at the end, and where the bytes are damaged.
  bool Next(AttributeView* attribute);
  bool damaged() const { return damaged_; }

 private:
  const char* at_;
  const char* end_;
  bool damaged_ = false;
};

// A change of a record's metadata after RFC 7386: what is named is set, or removed with everything
// below it; the rest stays.
struct MergePatch {
  AttributeMap set;
  std::vector<std::string> remove;
};
// A path that is set takes the place of what stood there, value or object, and of a value above it.
// InvalidArgument as EncodeAttributes; DataLoss: `encoded` is damaged.
absl::StatusOr<std::string> ApplyPatch(std::string_view encoded, const MergePatch& patch);

}  // namespace varve::metadata

#endif  // VARVE_METADATA_ATTRIBUTES_H_
