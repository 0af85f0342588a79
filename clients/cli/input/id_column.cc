#include "clients/cli/input/id_column.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/id_text.h"
#include "clients/cli/input/npy.h"

namespace varve::cli {
namespace {

// Tag and length of a text id in a message.
constexpr size_t kTextOverheadBytes = 3;

absl::Status Bad(std::string_view name, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(name, ": ", what));
}

// A line ends with \n or \r\n; the last one needs no end.
std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

}  // namespace

IdColumn IdColumn::Counting(size_t count) {
  IdColumn column;
  column.counting_ = count;
  return column;
}

absl::StatusOr<IdColumn> IdColumn::Open(const std::string& path, IdType namespace_type) {
  const bool is_npy = path.ends_with(".npy");
  if (is_npy || path.ends_with(".u64")) {
    if (namespace_type == IdType::kText) {
      return Bad(path, "holds numbers, the namespace's ids are text: wanted a text file");
    }
    return is_npy ? OpenNpyNumbers(path) : OpenNumbers(path);
  }
  VARVE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  IdColumn column;
  VARVE_RETURN_IF_ERROR(column.TakeTexts(path, "line", Lines(file.bytes()), namespace_type));
  column.file_ = std::move(file);
  return column;
}

absl::StatusOr<IdColumn> IdColumn::FromWords(const std::vector<std::string>& words,
                                             IdType namespace_type) {
  IdColumn column;
  VARVE_RETURN_IF_ERROR(
      column.TakeTexts("ids", "id", {words.begin(), words.end()}, namespace_type));
  return column;
}

absl::StatusOr<IdColumn> IdColumn::OpenNumbers(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(MappedFile file, MappedFile::Open(path));
  if (file.bytes().size() % sizeof(uint64_t) != 0) {
    return Bad(path, StrCat("holds ", file.bytes().size(), " bytes, wanted a multiple of 8"));
  }
  IdColumn column;
  column.numbers_.resize(file.bytes().size() / sizeof(uint64_t));
  if (!column.numbers_.empty()) {
    std::memcpy(column.numbers_.data(), file.bytes().data(), file.bytes().size());
  }
  column.file_ = std::move(file);
  return column;
}

absl::StatusOr<IdColumn> IdColumn::OpenNpyNumbers(const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(NpyArray array, OpenNpy(path));
  IdColumn column;
  VARVE_ASSIGN_OR_RETURN(column.numbers_, NpyNumbers(array, "ids"));
  column.file_ = std::move(array.file);
  return column;
}

absl::Status IdColumn::TakeTexts(std::string_view name, std::string_view unit,
                                 std::vector<std::string_view> texts, IdType namespace_type) {
  if (namespace_type != IdType::kText) {
    std::vector<uint64_t> numbers;
    numbers.reserve(texts.size());
    for (const std::string_view text : texts) {
      const std::optional<uint64_t> number = ParseNumberId(text);
      if (!number) break;
      numbers.push_back(*number);
    }
    if (numbers.size() == texts.size()) {
      numbers_ = std::move(numbers);
      return absl::OkStatus();
    }
    if (namespace_type == IdType::kNumber) {
      return Bad(name,
                 StrCat(unit, " ", numbers.size() + 1, " is '", texts[numbers.size()].substr(0, 80),
                        "', the namespace's ids are numbers: wanted decimal digits, without "
                        "leading zeros, below 2^64"));
    }
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    if (absl::Status status = CheckTextId(texts[i]); !status.ok()) {
      return Bad(name, StrCat(unit, " ", i + 1, " ", status.message()));
    }
  }
  texts_ = std::move(texts);
  return absl::OkStatus();
}

size_t IdColumn::size() const { return counting_ + numbers_.size() + texts_.size(); }

size_t IdColumn::longest_bytes() const {
  if (texts_.empty()) return sizeof(uint64_t);
  size_t longest = 0;
  for (const std::string_view text : texts_) longest = std::max(longest, text.size());
  return longest + kTextOverheadBytes;
}

client::IdsView IdColumn::Slice(size_t first, size_t count, std::vector<uint64_t>* scratch) const {
  if (!texts_.empty()) return absl::MakeConstSpan(texts_).subspan(first, count);
  if (!numbers_.empty()) return absl::MakeConstSpan(numbers_).subspan(first, count);
  scratch->resize(count);
  std::iota(scratch->begin(), scratch->end(), first);
  return absl::MakeConstSpan(*scratch);
}

}  // namespace varve::cli
