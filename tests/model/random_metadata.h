#ifndef VARVE_TESTS_MODEL_RANDOM_METADATA_H_
#define VARVE_TESTS_MODEL_RANDOM_METADATA_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "metadata/attributes.h"
#include "metadata/filter.h"

namespace varve::engine {

// Metadata as the model has it: few attributes with few values, so that filters divide the records in all
// kinds of ways. Which are there is what says it: none of them has to be.
struct ModelMetadata {
  std::optional<int64_t> n;               // int64, 0 to 9
  std::optional<double> x;                // double, halves from 0 to 4.5
  std::optional<std::string> t;           // text: "a", "ab", "b"
  std::optional<bool> b;                  // bool
  std::optional<std::vector<int64_t>> l;  // list of int64, 0 to 4; may be empty
  std::optional<int64_t> deep;            // int64 in an object: o.deep

  friend bool operator==(const ModelMetadata&, const ModelMetadata&) = default;

  metadata::AttributeMap Attributes() const {
    using metadata::ValueView;
    metadata::AttributeMap attributes;
    const auto add = [&](const char* path, const ValueView& value) {
      attributes[path].values.emplace_back(value);
    };
    if (n) add("n", ValueView::Int64(*n));
    if (x) add("x", ValueView::Double(*x));
    if (t) add("t", ValueView::String(*t));
    if (b) add("b", ValueView::Bool(*b));
    if (deep) add("o.deep", ValueView::Int64(*deep));
    if (l) {
      attributes["l"].is_list = true;
      for (const int64_t value : *l) add("l", ValueView::Int64(value));
    }
    return attributes;
  }
  std::string Encode() const { return *metadata::EncodeAttributes(Attributes()); }

  // What a merge patch of the attributes that are here makes of `before`.
  ModelMetadata Over(ModelMetadata before) const {
    if (n) before.n = n;
    if (x) before.x = x;
    if (t) before.t = t;
    if (b) before.b = b;
    if (l) before.l = l;
    if (deep) before.deep = deep;
    return before;
  }
};

// Draws metadata, and filters with what they mean.
class RandomMetadata {
 public:
  explicit RandomMetadata(std::mt19937_64* random) : random_(*random) {}

  ModelMetadata Draw() {
    ModelMetadata drawn;
    if (Chance(80)) drawn.n = Below(10);
    if (Chance(60)) drawn.x = static_cast<double>(Below(10)) / 2;
    if (Chance(60)) drawn.t = kTexts[Below(3)];
    if (Chance(50)) drawn.b = Chance(50);
    if (Chance(30)) drawn.deep = Below(3);
    if (Chance(40)) {
      drawn.l.emplace();
      for (uint64_t i = Below(4); i > 0; --i) drawn.l->push_back(Below(5));
    }
    return drawn;
  }

  using Meaning = std::function<bool(const ModelMetadata&)>;
  struct DrawnFilter {
    metadata::Filter filter;
    Meaning meaning;
  };

  DrawnFilter DrawFilter(int depth = 3) {
    if (depth == 0 || Chance(40)) return DrawLeaf();
    std::vector<DrawnFilter> parts;
    for (uint64_t i = 1 + Below(3); i > 0; --i) parts.push_back(DrawFilter(depth - 1));
    std::vector<metadata::Filter> filters;
    for (const DrawnFilter& part : parts) filters.push_back(part.filter);
    switch (Below(3)) {
      case 0:
        return {metadata::Filter::And(filters), [parts](const ModelMetadata& m) {
                  for (const DrawnFilter& part : parts) {
                    if (!part.meaning(m)) return false;
                  }
                  return true;
                }};
      case 1:
        return {metadata::Filter::Or(filters), [parts](const ModelMetadata& m) {
                  for (const DrawnFilter& part : parts) {
                    if (part.meaning(m)) return true;
                  }
                  return false;
                }};
      default:
        return {metadata::Filter::Not(filters[0]),
                [meaning = parts[0].meaning](const ModelMetadata& m) { return !meaning(m); }};
    }
  }

 private:
  using Op = metadata::Filter::Op;
  static constexpr const char* kTexts[] = {"a", "ab", "b"};

  uint64_t Below(uint64_t end) { return random_() % end; }
  bool Chance(uint64_t percent) { return Below(100) < percent; }

  // The numbers of an attribute.
  static std::vector<double> Numbers(const std::string& path, const ModelMetadata& m) {
    std::vector<double> numbers;
    if (path == "n" && m.n) numbers.push_back(static_cast<double>(*m.n));
    if (path == "x" && m.x) numbers.push_back(*m.x);
    if (path == "o.deep" && m.deep) numbers.push_back(static_cast<double>(*m.deep));
    if (path == "l" && m.l) numbers.assign(m.l->begin(), m.l->end());
    return numbers;
  }

  DrawnFilter DrawLeaf() {
    switch (Below(6)) {
      case 0:
        return DrawExists();
      case 1:
        return DrawText();
      case 2: {
        const bool wanted = Chance(50);
        return {metadata::Filter::In("b", {metadata::Value(metadata::ValueView::Bool(wanted))}),
                [wanted](const ModelMetadata& m) { return m.b == wanted; }};
      }
      default:
        return DrawNumber();
    }
  }

  DrawnFilter DrawExists() {
    switch (Below(4)) {
      case 0:
        return {metadata::Filter::Exists("n"),
                [](const ModelMetadata& m) { return m.n.has_value(); }};
      case 1:
        return {metadata::Filter::Exists("o"),
                [](const ModelMetadata& m) { return m.deep.has_value(); }};
      case 2:
        return {metadata::Filter::Exists("l"),
                [](const ModelMetadata& m) { return m.l.has_value(); }};
      default:
        return {metadata::Filter::Exists("nothing"), [](const ModelMetadata&) { return false; }};
    }
  }

  DrawnFilter DrawText() {
    const std::string wanted = kTexts[Below(3)];
    if (Chance(50)) {
      return {metadata::Filter::Compare(Op::kPrefix, "t", metadata::ValueView::String(wanted)),
              [wanted](const ModelMetadata& m) { return m.t && m.t->starts_with(wanted); }};
    }
    return {metadata::Filter::Compare(Op::kGreaterEqual, "t", metadata::ValueView::String(wanted)),
            [wanted](const ModelMetadata& m) { return m.t && *m.t >= wanted; }};
  }

  DrawnFilter DrawNumber() {
    static constexpr const char* kPaths[] = {"n", "x", "l", "o.deep"};
    const std::string path = kPaths[Below(4)];
    // Whole numbers and halves, as either type: they compare by value.
    const double wanted = static_cast<double>(Below(20)) / 2;
    const bool whole = wanted == static_cast<double>(static_cast<int64_t>(wanted));
    const metadata::ValueView value = whole && Chance(50)
                                          ? metadata::ValueView::Int64(static_cast<int64_t>(wanted))
                                          : metadata::ValueView::Double(wanted);
    const auto any = [path](auto holds) {
      return [path, holds](const ModelMetadata& m) {
        for (const double number : Numbers(path, m)) {
          if (holds(number)) return true;
        }
        return false;
      };
    };
    switch (Below(5)) {
      case 0:
        return {metadata::Filter::Compare(Op::kLess, path, value),
                any([wanted](double number) { return number < wanted; })};
      case 1:
        return {metadata::Filter::Compare(Op::kLessEqual, path, value),
                any([wanted](double number) { return number <= wanted; })};
      case 2:
        return {metadata::Filter::Compare(Op::kGreater, path, value),
                any([wanted](double number) { return number > wanted; })};
      case 3:
        return {metadata::Filter::Compare(Op::kGreaterEqual, path, value),
                any([wanted](double number) { return number >= wanted; })};
      default: {
        const double other = static_cast<double>(Below(10));
        return {metadata::Filter::In(path, {metadata::Value(value),
                                            metadata::Value(metadata::ValueView::Double(other))}),
                any([=](double number) { return number == wanted || number == other; })};
      }
    }
  }

  std::mt19937_64& random_;
};

}  // namespace varve::engine

#endif  // VARVE_TESTS_MODEL_RANDOM_METADATA_H_
