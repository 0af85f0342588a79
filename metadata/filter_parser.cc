#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "base/utf8.h"
#include "metadata/attributes.h"
#include "metadata/filter.h"

namespace varve::metadata {
namespace {

constexpr size_t kNone = std::string_view::npos;
constexpr size_t kFoundBytesMax = 32;  // of what an error repeats
constexpr std::string_view kKeywords[] = {"AND", "OR", "NOT", "IN"};
constexpr std::string_view kStarWithin =
    "only a * at the end of a text is supported; write \\* for the character";

struct Operator {
  std::string_view sign;
  Filter::Op op;  // kNot stands for !=, kExists for the colon
};
// The longer ones first: < begins <= too.
constexpr Operator kOperators[] = {
    {"!=", Filter::Op::kNot},   {"<=", Filter::Op::kLessEqual}, {">=", Filter::Op::kGreaterEqual},
    {"<", Filter::Op::kLess},   {">", Filter::Op::kGreater},    {"=", Filter::Op::kIn},
    {":", Filter::Op::kExists},
};

// What follows a backslash in quotes, and what it stands for.
constexpr std::string_view kEscapes = "\"'\\*ntr";
constexpr std::string_view kEscaped = "\"'\\*\n\t\r";

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool IsQuote(char c) { return c == '"' || c == '\''; }

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsNameChar(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x80 || absl::ascii_isalnum(byte) ||
         std::string_view("_-/@$").find(c) != std::string_view::npos;
}

bool IsWordChar(char c) { return IsNameChar(c) || c == '.'; }

bool IsKeyword(std::string_view word) {
  return std::find(std::begin(kKeywords), std::end(kKeywords), word) != std::end(kKeywords);
}

bool IsBareName(std::string_view name) {
  return !name.empty() && name.front() != '-' && !IsKeyword(name) &&
         std::all_of(name.begin(), name.end(), IsNameChar);
}

void AppendUtf8(uint32_t code, std::string* out) {
  const auto append = [&](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) return append(code);
  if (code < 0x800) {
    append(0xc0 | code >> 6);
  } else {
    if (code < 0x10000) {
      append(0xe0 | code >> 12);
    } else {
      append(0xf0 | code >> 18);
      append(0x80 | (code >> 12 & 0x3f));
    }
    append(0x80 | (code >> 6 & 0x3f));
  }
  append(0x80 | (code & 0x3f));
}

// A recursive descent, a function per rule:
//
//   and        = or { ["AND"] or }
//   or         = term { "OR" term }
//   term       = ("NOT" | "-") term | "(" [and] ")" | comparison
//   comparison = path [ operator value | ":" "*" | "IN" "(" [value { "," value }] ")" ]
//
// Each skips the spaces before what it reads. There are no tokens apart from that: the same characters
// are a path in one place and a number in another.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  absl::StatusOr<Filter> Parse();

 private:
  struct Node {
    Filter filter;
    size_t height = 0;  // 0 for a leaf
  };
  struct Operand {
    Value value;          // without the star
    size_t star = kNone;  // where the unescaped * is that it ended in
  };

  // `after` is what came before, for errors; `nesting` how many brackets and NOTs are around it.
  absl::StatusOr<Node> ReadAnd(std::string_view after, size_t nesting);
  absl::StatusOr<Node> ReadOr(std::string_view after, size_t nesting);
  absl::StatusOr<Node> ReadTerm(std::string_view after, size_t nesting);
  absl::StatusOr<Node> ReadComparison();
  absl::StatusOr<Node> ReadCompared(size_t begin, std::string path, const Operator& compare);
  absl::StatusOr<std::string> ReadPath();
  absl::StatusOr<std::vector<Value>> ReadList();
  absl::StatusOr<Operand> ReadOperand(std::string_view after);
  absl::StatusOr<Operand> ReadQuoted();
  absl::Status ReadEscape(std::string* out);

  // The node, when the filter may still have it.
  absl::StatusOr<Node> Made(size_t begin, Filter filter, size_t height = 0);
  absl::StatusOr<Node> Negate(size_t begin, Node node);
  absl::StatusOr<Node> Join(size_t begin, Filter::Op op, std::vector<Node> nodes);

  bool Has(size_t at, bool (*is)(char)) const { return at < text_.size() && is(text_[at]); }
  bool AtTerm() const;
  std::string_view Run(bool (*is)(char)) const {
    const auto begin = text_.begin() + at_;
    return text_.substr(at_, std::find_if_not(begin, text_.end(), is) - begin);
  }
  void SkipSpaces() { at_ += Run(IsSpace).size(); }
  bool Take(std::string_view what) {
    if (text_.substr(at_, what.size()) != what) return false;
    at_ += what.size();
    return true;
  }
  bool TakeKeyword(std::string_view keyword) {
    SkipSpaces();
    return Run(IsNameChar) == keyword && Take(keyword);
  }
  bool TakeHex(uint32_t* code);

  size_t Column(size_t at) const;  // in characters, from 1
  absl::Status Error(size_t at, std::string_view what) const {
    return absl::InvalidArgumentError(StrCat("filter, column ", Column(at), ": ", what));
  }
  // That `what` must come here; `after` is empty at the beginning of the text.
  absl::Status Expected(std::string_view what, std::string_view after) const {
    const std::string where = after.empty() ? "come first" : StrCat("follow ", after);
    return Error(at_, StrCat(what, " must ", where, ", found ", Found(at_)));
  }
  absl::Status RefuseStar(const Operand& operand, std::string_view sign) const {
    if (operand.star == kNone) return absl::OkStatus();
    return Error(operand.star,
                 StrCat("a * is not supported with ", sign, "; write \\* for the character"));
  }
  std::string Found(size_t at) const;

  const std::string_view text_;
  size_t at_ = 0;
  size_t nodes_ = 0;
  size_t values_ = 0;
};

size_t Parser::Column(size_t at) const {
  const auto begins_character = [](char c) { return (c & 0xc0) != 0x80; };
  return 1 + std::count_if(text_.begin(), text_.begin() + at, begins_character);
}

std::string Parser::Found(size_t at) const {
  if (at >= text_.size()) return "the end";
  const char first = text_[at];
  if (IsSpace(first)) return "a space";
  if (IsQuote(first)) return "a text";
  if (absl::ascii_iscntrl(first)) return StrCat("U+00", absl::Hex(first, absl::kZeroPad2));
  size_t end = at;
  while (Has(end, IsWordChar) && end - at < kFoundBytesMax) {
    end += Utf8CharacterBytes(text_.substr(end));
  }
  if (Has(end, IsWordChar)) return StrCat(text_.substr(at, end - at), "...");
  if (end > at) return std::string(text_.substr(at, end - at));
  for (const Operator& compare : kOperators) {
    if (text_.substr(at, compare.sign.size()) == compare.sign) return std::string(compare.sign);
  }
  return std::string(1, first);
}

absl::StatusOr<Filter> Parser::Parse() {
  if (text_.size() > kFilterTextBytesMax) {
    return absl::InvalidArgumentError(StrCat("filter: the text must be at most ",
                                             kFilterTextBytesMax, " bytes, is ", text_.size()));
  }
  for (size_t at = 0, bytes = 0; at < text_.size(); at += bytes) {
    bytes = Utf8CharacterBytes(text_.substr(at));
    if (bytes > 0) continue;
    const auto byte = static_cast<uint8_t>(text_[at]);
    return Error(at, StrCat("the text must be UTF-8, found byte 0x", absl::Hex(byte)));
  }
  SkipSpaces();
  if (at_ == text_.size()) return Filter::And({});
  VARVE_ASSIGN_OR_RETURN(Node root, ReadAnd(/*after=*/"", /*nesting=*/0));
  if (at_ < text_.size()) return Expected("AND, OR or the end", "a condition");
  return std::move(root.filter);
}

absl::StatusOr<Parser::Node> Parser::Made(size_t begin, Filter filter, size_t height) {
  ++nodes_;
  values_ += filter.values.size();
  const auto more_than = [&](size_t limit, std::string_view what) {
    return Error(begin, StrCat("a filter may have ", limit, " ", what, ", found more"));
  };
  if (nodes_ > kFilterNodesMax) return more_than(kFilterNodesMax, "conditions");
  if (values_ > kFilterValuesMax) return more_than(kFilterValuesMax, "values");
  if (height > kFilterDepthMax) return more_than(kFilterDepthMax, "conditions in one another");
  return Node{.filter = std::move(filter), .height = height};
}

absl::StatusOr<Parser::Node> Parser::Negate(size_t begin, Node node) {
  return Made(begin, Filter::Not(std::move(node.filter)), node.height + 1);
}

absl::StatusOr<Parser::Node> Parser::Join(size_t begin, Filter::Op op, std::vector<Node> nodes) {
  if (nodes.size() == 1) return std::move(nodes.front());
  Filter filter{.op = op};
  size_t height = 0;
  filter.children.reserve(nodes.size());
  for (Node& node : nodes) {
    height = std::max(height, node.height + 1);
    filter.children.push_back(std::move(node.filter));
  }
  return Made(begin, std::move(filter), height);
}

bool Parser::AtTerm() const {
  if (Has(at_, IsQuote) || text_.substr(at_, 1) == "(") return true;
  const std::string_view name = Run(IsNameChar);
  return !name.empty() && (!IsKeyword(name) || name == "NOT");
}

absl::StatusOr<Parser::Node> Parser::ReadAnd(std::string_view after, size_t nesting) {
  SkipSpaces();
  const size_t begin = at_;
  std::vector<Node> nodes;
  for (;;) {
    VARVE_ASSIGN_OR_RETURN(Node node, ReadOr(after, nesting));
    nodes.push_back(std::move(node));
    after = "AND";
    if (TakeKeyword("AND")) continue;
    if (!AtTerm()) return Join(begin, Filter::Op::kAnd, std::move(nodes));
    // Nobody means `a(b)` or `"it"s"` so.
    if (text_[at_ - 1] != ')' && !IsSpace(text_[at_ - 1])) {
      return Expected("a space or AND", "a condition");
    }
  }
}

absl::StatusOr<Parser::Node> Parser::ReadOr(std::string_view after, size_t nesting) {
  SkipSpaces();
  const size_t begin = at_;
  std::vector<Node> nodes;
  do {
    VARVE_ASSIGN_OR_RETURN(Node node, ReadTerm(after, nesting));
    nodes.push_back(std::move(node));
    after = "OR";
  } while (TakeKeyword("OR"));
  return Join(begin, Filter::Op::kOr, std::move(nodes));
}

absl::StatusOr<Parser::Node> Parser::ReadTerm(std::string_view after, size_t nesting) {
  SkipSpaces();
  const size_t begin = at_;
  if (nesting > kFilterDepthMax) {
    return Error(begin,
                 StrCat("brackets and NOT may be nested ", kFilterDepthMax, " deep, found more"));
  }
  const std::string_view sign = TakeKeyword("NOT") ? "NOT" : Take("-") ? "-" : "";
  if (sign == "-" && !AtTerm()) return Expected("a condition", sign);  // here, not behind spaces
  if (!sign.empty()) {
    VARVE_ASSIGN_OR_RETURN(Node node, ReadTerm(sign, nesting + 1));
    return Negate(begin, std::move(node));
  }
  if (Take("(")) {
    SkipSpaces();
    if (Take(")")) return Made(begin, Filter::And({}));
    VARVE_ASSIGN_OR_RETURN(Node node, ReadAnd("(", nesting + 1));
    if (!Take(")")) return Expected("AND, OR or )", "a condition");
    return node;
  }
  if (!AtTerm()) return Expected("a condition", after);
  return ReadComparison();
}

absl::StatusOr<Parser::Node> Parser::ReadComparison() {
  const size_t begin = at_;
  VARVE_ASSIGN_OR_RETURN(std::string path, ReadPath());
  if (TakeKeyword("IN")) {
    VARVE_ASSIGN_OR_RETURN(std::vector<Value> values, ReadList());
    return Made(begin, Filter::In(std::move(path), std::move(values)));
  }
  for (const Operator& compare : kOperators) {
    if (Take(compare.sign)) return ReadCompared(begin, std::move(path), compare);
  }
  return Made(begin, Filter::In(std::move(path), {Value(ValueView::Bool(true))}));
}

absl::StatusOr<Parser::Node> Parser::ReadCompared(size_t begin, std::string path,
                                                  const Operator& compare) {
  SkipSpaces();
  const size_t value_begin = at_;
  const bool takes_star = compare.op == Filter::Op::kIn || compare.op == Filter::Op::kNot ||
                          compare.op == Filter::Op::kExists;
  if (takes_star && Take("*")) {
    if (Has(at_, [](char c) { return IsWordChar(c) || IsQuote(c) || c == '*'; })) {
      return Error(value_begin, kStarWithin);
    }
    if (compare.op == Filter::Op::kExists) return Made(begin, Filter::Exists(std::move(path)));
    return Error(value_begin, StrCat("a value must follow ", compare.sign,
                                     ", found *; whether an attribute exists is path:*"));
  }
  VARVE_ASSIGN_OR_RETURN(Operand operand, ReadOperand(compare.sign));
  if (!takes_star) {
    VARVE_RETURN_IF_ERROR(RefuseStar(operand, compare.sign));
    return Made(begin, Filter::Compare(compare.op, std::move(path), operand.value.view()));
  }
  VARVE_ASSIGN_OR_RETURN(
      Node node,
      Made(begin, operand.star == kNone ? Filter::In(std::move(path), {std::move(operand.value)})
                                        : Filter::Compare(Filter::Op::kPrefix, std::move(path),
                                                          operand.value.view())));
  if (compare.op == Filter::Op::kNot) return Negate(begin, std::move(node));
  return node;
}

absl::StatusOr<std::string> Parser::ReadPath() {
  const size_t begin = at_;
  std::string path;
  for (;;) {
    if (Has(at_, IsQuote)) {
      VARVE_ASSIGN_OR_RETURN(Operand name, ReadQuoted());
      VARVE_RETURN_IF_ERROR(RefuseStar(name, "a name"));
      path += name.value.view().text;
    } else {
      const std::string_view name = Run(IsNameChar);
      if (!IsBareName(name)) return Expected("a name", ".");  // AtTerm() saw to the first
      path += name;
      at_ += name.size();
    }
    if (!Take(".")) break;
    path += '.';
  }
  if (absl::Status status = CheckPath(path); !status.ok()) {
    return Error(begin, StrCat(status.message()));
  }
  return path;
}

absl::StatusOr<std::vector<Value>> Parser::ReadList() {
  SkipSpaces();
  if (!Take("(")) return Expected("a (", "IN");
  std::vector<Value> values;
  SkipSpaces();
  if (Take(")")) return values;
  for (std::string_view after = "(";; after = "a comma") {
    VARVE_ASSIGN_OR_RETURN(Operand operand, ReadOperand(after));
    VARVE_RETURN_IF_ERROR(RefuseStar(operand, "IN"));
    values.push_back(std::move(operand.value));
    SkipSpaces();
    if (Take(")")) return values;
    if (!Take(",")) return Expected("a comma or )", "a value");
  }
}

absl::StatusOr<Parser::Operand> Parser::ReadOperand(std::string_view after) {
  SkipSpaces();
  if (Has(at_, IsQuote)) return ReadQuoted();
  const auto goes_on = [](char c) { return IsWordChar(c) || c == '*'; };
  const char* const begin = text_.data() + at_;
  const char* const end = text_.data() + text_.size();
  const size_t sign = text_.substr(at_, 1) == "-" ? 1 : 0;
  const size_t dot = text_.substr(at_ + sign, 1) == "." ? 1 : 0;
  if (Has(at_ + sign + dot, IsDigit)) {  // and not inf, which from_chars reads too
    double real = 0;
    int64_t integer = 0;
    const auto as_real = std::from_chars(begin, end, real);
    const auto as_integer = std::from_chars(begin, end, integer);
    const bool is_integer = as_integer.ptr == as_real.ptr && as_integer.ec == std::errc();
    // Otherwise a word that begins like a number: a date, a version.
    if (const size_t number_end = as_real.ptr - text_.data(); !Has(number_end, goes_on)) {
      if (!is_integer && as_real.ec != std::errc()) {
        return Error(at_, StrCat("a number must fit in a double, found ", Found(at_)));
      }
      at_ = number_end;
      return Operand{Value(is_integer ? ValueView::Int64(integer) : ValueView::Double(real))};
    }
  }
  const std::string_view word = Run(IsWordChar);
  size_t word_end = at_ + word.size();
  const size_t star = text_.substr(word_end, 1) == "*" ? word_end++ : kNone;
  if (word.empty() || word.front() == '-' || (star == kNone && IsKeyword(word))) {
    return Expected("a value", after);
  }
  if (star != kNone && Has(word_end, goes_on)) return Error(star, kStarWithin);
  at_ = word_end;
  if (text_.substr(at_, 1) == ":") return Error(at_, "a text with : in it must be in quotes");
  if (star == kNone && (word == "true" || word == "false")) {
    return Operand{Value(ValueView::Bool(word == "true"))};
  }
  return Operand{Value(ValueView::String(word)), star};
}

absl::StatusOr<Parser::Operand> Parser::ReadQuoted() {
  const size_t begin = at_;
  const std::string_view quote = text_.substr(at_++, 1);
  std::string text;
  size_t star = kNone;
  while (!Take(quote)) {
    if (at_ == text_.size()) return Expected(quote, StrCat("the text of column ", Column(begin)));
    if (star != kNone) return Error(star, kStarWithin);
    if (text_[at_] == '\\') {
      VARVE_RETURN_IF_ERROR(ReadEscape(&text));
    } else if (text_[at_] == '*') {
      star = at_++;
    } else {
      text.push_back(text_[at_++]);
    }
  }
  return Operand{Value(ValueView::String(text)), star};
}

bool Parser::TakeHex(uint32_t* code) {
  const std::string_view digits = text_.substr(at_, 4);
  const char* const end = digits.data() + digits.size();
  if (digits.size() < 4 || std::from_chars(digits.data(), end, *code, 16).ptr != end) return false;
  at_ += digits.size();
  return true;
}

absl::Status Parser::ReadEscape(std::string* out) {
  const size_t begin = at_++;
  if (at_ == text_.size()) return Expected("a character", "\\");
  if (const size_t i = kEscapes.find(text_[at_]); i != kNone) {
    out->push_back(kEscaped[i]);
    ++at_;
    return absl::OkStatus();
  }
  if (!Take("u")) return Expected("one of \" ' \\ * n t r u", "\\");
  uint32_t code = 0;
  uint32_t low = 0;
  if (!TakeHex(&code)) return Expected("four hexadecimal digits", "\\u");
  if (code >= 0xd800 && code < 0xe000) {
    const bool pair =
        code < 0xdc00 && Take("\\u") && TakeHex(&low) && low >= 0xdc00 && low < 0xe000;
    if (!pair) return Error(begin, "a \\u surrogate must be one of a pair, found it alone");
    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
  }
  AppendUtf8(code, out);
  return absl::OkStatus();
}

void AppendQuoted(std::string_view text, bool prefix, std::string* out) {
  out->push_back('"');
  for (const char c : text) {
    if (const size_t i = kEscaped.find(c); i != kNone && c != '\'') {
      out->append({'\\', kEscapes[i]});
    } else if (absl::ascii_iscntrl(c)) {
      out->append(StrCat("\\u", absl::Hex(c, absl::kZeroPad4)));
    } else {
      out->push_back(c);
    }
  }
  out->append(prefix ? "*\"" : "\"");
}

void AppendPath(std::string_view path, std::string* out) {
  for (;;) {
    const size_t dot = path.find('.');
    const std::string_view name = path.substr(0, dot);
    if (IsBareName(name)) {
      out->append(name);
    } else {
      AppendQuoted(name, /*prefix=*/false, out);
    }
    if (dot == kNone) return;
    out->push_back('.');
    path.remove_prefix(dot + 1);
  }
}

void AppendValues(const Filter& filter, std::string* out) {
  std::string_view comma = "";
  for (const Value& value : filter.values) {
    out->append(std::exchange(comma, ", "));
    const ValueView view = value.view();
    if (view.type == ValueType::kString) {
      AppendQuoted(view.text, filter.op == Filter::Op::kPrefix, out);
    } else if (view.type == ValueType::kTimestamp) {
      AppendQuoted(FormatTimestamp(view.integer), /*prefix=*/false, out);
    } else {
      const std::string number = ToString(view);
      out->append(number);
      // So that it is read as a double again.
      const bool whole = number.find_first_of(".e") == kNone;
      if (view.type == ValueType::kDouble && whole) out->append(".0");
    }
  }
}

std::string_view OperatorSign(const Filter& leaf) {
  for (const Operator& compare : kOperators) {
    if (compare.op == leaf.op) return compare.sign;
  }
  return "=";  // a prefix
}

// `inner` when it is a child of another node.
void Append(const Filter& filter, bool inner, std::string* out) {
  const bool all = filter.op == Filter::Op::kAnd;
  switch (filter.op) {
    case Filter::Op::kNot:
      out->append("NOT ");
      for (const Filter& child : filter.children) Append(child, /*inner=*/true, out);
      return;
    case Filter::Op::kAnd:
    case Filter::Op::kOr: {
      // One child alone says the same without this node.
      if (filter.children.size() == 1) return Append(filter.children[0], inner, out);
      if (filter.children.empty()) {
        out->append(all ? "()" : "NOT ()");
        return;
      }
      std::string_view between = inner ? "(" : "";
      for (const Filter& child : filter.children) {
        out->append(std::exchange(between, all ? " AND " : " OR "));
        Append(child, /*inner=*/true, out);
      }
      if (inner) out->push_back(')');
      return;
    }
    case Filter::Op::kExists:
      AppendPath(filter.path, out);
      out->append(":*");
      return;
    default:
      break;
  }
  const bool list = filter.op == Filter::Op::kIn && filter.values.size() != 1;
  AppendPath(filter.path, out);
  out->append(list ? " IN (" : StrCat(" ", OperatorSign(filter), " "));
  AppendValues(filter, out);
  if (list) out->push_back(')');
}

}  // namespace

absl::StatusOr<Filter> ParseFilter(std::string_view text) { return Parser(text).Parse(); }

std::string ToString(const Filter& filter) {
  std::string text;
  Append(filter, /*inner=*/false, &text);
  return text;
}

}  // namespace varve::metadata
