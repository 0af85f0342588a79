#include "metadata/filter.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "base/utf8.h"
#include "metadata/attributes.h"

namespace varve::metadata {
namespace {

bool IsBranch(Filter::Op op) {
  return op == Filter::Op::kAnd || op == Filter::Op::kOr || op == Filter::Op::kNot;
}

// Whether one value of an attribute satisfies a leaf.
bool ValueMatches(const Filter& leaf, const ValueView& stored) {
  if (leaf.op == Filter::Op::kPrefix) {
    const std::string_view prefix = leaf.values[0].view().text;
    return stored.type == ValueType::kString && stored.text.substr(0, prefix.size()) == prefix;
  }
  return std::any_of(leaf.values.begin(), leaf.values.end(), [&](const Value& wanted) {
    int order = 0;
    return Compare(stored, wanted.view(), &order) && Satisfies(leaf.op, order);
  });
}

bool LeafMatches(const Filter& leaf, std::string_view encoded) {
  AttributeReader reader(encoded);
  AttributeView attribute;
  while (reader.Next(&attribute)) {
    if (leaf.op == Filter::Op::kExists) {
      if (IsPathOrBelow(attribute.path(), leaf.path)) return true;
      continue;
    }
    const int order = attribute.path().compare(leaf.path);
    if (order > 0) return false;  // they are in order
    if (order < 0) continue;
    bool matches = false;
    attribute.ForEach([&](const ValueView& value) {
      matches = ValueMatches(leaf, value);
      return !matches;
    });
    return matches;
  }
  return false;
}

absl::Status Malformed(std::string_view node, std::string_view what) {
  return absl::InvalidArgumentError(StrCat("filter: ", node, " ", what));
}

struct Totals {
  size_t nodes = 0;
  size_t values = 0;
};

absl::Status ValidateLeaf(const Filter& leaf) {
  VARVE_RETURN_IF_ERROR(CheckPath(leaf.path));
  const std::string node = StrCat("the condition on \"", leaf.path, "\"");
  for (const Value& value : leaf.values) {
    if (!std::isfinite(value.view().real)) return Malformed(node, "must have a finite number");
    if (!IsUtf8(value.view().text)) return Malformed(node, "must have UTF-8 text");
  }
  if (!leaf.children.empty()) return Malformed(node, "must have no conditions below it");
  switch (leaf.op) {
    case Filter::Op::kIn:
      return absl::OkStatus();
    case Filter::Op::kExists:
      if (!leaf.values.empty()) return Malformed(node, "asks whether it exists and has a value");
      return absl::OkStatus();
    case Filter::Op::kPrefix:
      if (leaf.values.size() != 1 || leaf.values[0].view().type != ValueType::kString) {
        return Malformed(node, "must have one text as its prefix");
      }
      return absl::OkStatus();
    default:
      if (leaf.values.size() != 1) {
        return Malformed(node, StrCat("must have one value, has ", leaf.values.size()));
      }
      return absl::OkStatus();
  }
}

absl::Status Validate(const Filter& filter, size_t depth, Totals* totals) {
  if (depth > kFilterDepthMax) {
    return absl::InvalidArgumentError(
        StrCat("filter: conditions may be nested ", kFilterDepthMax, " deep"));
  }
  totals->values += filter.values.size();
  if (++totals->nodes > kFilterNodesMax || totals->values > kFilterValuesMax) {
    return absl::InvalidArgumentError(StrCat("filter: may have ", kFilterNodesMax,
                                             " conditions and ", kFilterValuesMax, " values"));
  }
  if (!IsBranch(filter.op)) return ValidateLeaf(filter);
  if (filter.op == Filter::Op::kNot && filter.children.size() != 1) {
    return Malformed("NOT", StrCat("must have one condition, has ", filter.children.size()));
  }
  for (const Filter& child : filter.children) {
    VARVE_RETURN_IF_ERROR(Validate(child, depth + 1, totals));
  }
  return absl::OkStatus();
}

}  // namespace

Filter Filter::And(std::vector<Filter> children) {
  return {.op = Op::kAnd, .children = std::move(children)};
}

Filter Filter::Or(std::vector<Filter> children) {
  return {.op = Op::kOr, .children = std::move(children)};
}

Filter Filter::Not(Filter child) {
  Filter filter{.op = Op::kNot};
  filter.children.push_back(std::move(child));
  return filter;
}

Filter Filter::Exists(std::string path) { return {.op = Op::kExists, .path = std::move(path)}; }

Filter Filter::In(std::string path, std::vector<Value> values) {
  return {.op = Op::kIn, .path = std::move(path), .values = std::move(values)};
}

Filter Filter::Compare(Op op, std::string path, const ValueView& value) {
  return {.op = op, .path = std::move(path), .values = {Value(value)}};
}

bool Satisfies(Filter::Op op, int order) {
  switch (op) {
    case Filter::Op::kIn:
      return order == 0;
    case Filter::Op::kLess:
      return order < 0;
    case Filter::Op::kLessEqual:
      return order <= 0;
    case Filter::Op::kGreater:
      return order > 0;
    case Filter::Op::kGreaterEqual:
      return order >= 0;
    case Filter::Op::kAnd:
    case Filter::Op::kOr:
    case Filter::Op::kNot:
    case Filter::Op::kPrefix:
    case Filter::Op::kExists:
      break;
  }
  return false;
}

absl::Status ValidateFilter(const Filter& filter) {
  Totals totals;
  return Validate(filter, 0, &totals);
}

bool Matches(const Filter& filter, std::string_view encoded) {
  const auto matches = [&](const Filter& child) { return Matches(child, encoded); };
  switch (filter.op) {
    case Filter::Op::kAnd:
      return std::all_of(filter.children.begin(), filter.children.end(), matches);
    case Filter::Op::kOr:
      return std::any_of(filter.children.begin(), filter.children.end(), matches);
    case Filter::Op::kNot:
      return !matches(filter.children[0]);
    default:
      return LeafMatches(filter, encoded);
  }
}

}  // namespace varve::metadata
