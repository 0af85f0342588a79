#ifndef VARVE_METADATA_FILTER_H_
#define VARVE_METADATA_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "metadata/value.h"

namespace varve::metadata {

inline constexpr size_t kFilterNodesMax = 4096;
inline constexpr size_t kFilterDepthMax = 64;
inline constexpr size_t kFilterValuesMax = 65'536;  // in all of a filter
inline constexpr size_t kFilterTextBytesMax = size_t{1} << 20;

// A condition on a record's metadata: a tree whose leaves compare one attribute. Immutable in use; copy
// it freely.
//
// Of a list a comparison holds when it does for any element. An attribute that is not there, or whose
// values do not compare with the one given (see Compare), satisfies none; so kNot of a comparison
// holds for it.
struct Filter {
  enum class Op : uint8_t {
    kAnd,           // all children; with none, every record
    kOr,            // any child; with none, no record
    kNot,           // not the one child
    kIn,            // equal to any of `values`
    kLess,          // compared with the one value
    kLessEqual,     //
    kGreater,       //
    kGreaterEqual,  //
    kPrefix,        // text that begins with the one value
    kExists,        // the attribute is there, or an object of that path; an empty list too
  };

  Op op = Op::kAnd;
  std::vector<Filter> children;
  std::string path;
  std::vector<Value> values;

  static Filter And(std::vector<Filter> children);
  static Filter Or(std::vector<Filter> children);
  static Filter Not(Filter child);
  static Filter Exists(std::string path);
  static Filter In(std::string path, std::vector<Value> values);
  static Filter Compare(Op op, std::string path, const ValueView& value);
};

// Whether a comparison holds of values that compare so (see Compare). For the ops that compare.
bool Satisfies(Filter::Op op, int order);

// OK when the tree is well formed: each op has the children, path and values that it needs, within the
// limits above. InvalidArgument names the node.
absl::Status ValidateFilter(const Filter& filter);

// Whether a record of these attributes (see EncodeAttributes) satisfies the filter. Of damaged ones it
// sees those before the damage.
bool Matches(const Filter& filter, std::string_view encoded_attributes);

// Reads the text form, after google.aip.dev/160:
//
//   category = "boot" AND price < 10 AND NOT sold AND tags:"sale"
//   (year >= 2011 OR year = 2005) AND colour IN ("red", "blue") AND title = "Nike*" AND size.eu:*
//
// As AIP-160 has it, OR binds tighter than AND: `a AND b OR c` is `a AND (b OR c)`. `-x` is `NOT x`; terms
// one behind the other are joined by AND. `path` alone stands for `path = true`. Operators: = != < <= >
// >=, `:` (has: the same as = but for `path:*`, which is whether it exists), IN (value, ...). Values:
// numbers, true, false, and text, in double or single quotes unless it is one word; text compared
// with a timestamp is one (RFC 3339). With = != and `:` a text that ends in * is a prefix; \* is
// the character. `path != value` is `NOT path = value`: it holds for records without the attribute.
// Keywords are in capitals. Nothing but spaces is the filter that all records satisfy.
//
// InvalidArgument points at the column: "filter, column 9: a value must follow <, found AND".
absl::StatusOr<Filter> ParseFilter(std::string_view text);

// The text form, with every bracket it needs: ParseFilter gives the same filter again.
std::string ToString(const Filter& filter);

}  // namespace varve::metadata

#endif  // VARVE_METADATA_FILTER_H_
