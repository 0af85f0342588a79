#ifndef VARVE_CLIENTS_CLI_INPUT_ID_COLUMN_H_
#define VARVE_CLIENTS_CLI_INPUT_ID_COLUMN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cli/input/mapped_file.h"
#include "clients/cpp/varve/namespace.h"
#include "clients/cpp/varve/records.h"

namespace varve::cli {

using client::IdType;

// The external ids of a file's rows, or of a command line. Thread-safe.
//   .u64   unsigned 64-bit numbers, one behind the other
//   .npy   one dimension of u8, u4, i8 or i4; none negative
//   other  text, one id a line
class IdColumn {
 public:
  // 0 ... count - 1.
  static IdColumn Counting(size_t count);
  // Ids of a file. Lines of text are numbers in a namespace of numbers, and in an undecided one if
  // every line is a number; else they are text. InvalidArgument names the file and the line or the
  // row, also when the ids are not of the namespace's kind.
  static absl::StatusOr<IdColumn> Open(const std::string& path, IdType namespace_type);
  // Ids from a command line, by the same rule. `words` must outlive the column.
  static absl::StatusOr<IdColumn> FromWords(const std::vector<std::string>& words,
                                            IdType namespace_type);

  IdType type() const { return texts_.empty() ? IdType::kNumber : IdType::kText; }
  size_t size() const;
  // Bytes that the longest id takes in a message.
  size_t longest_bytes() const;
  // The file, all of it; empty when there is none.
  std::string_view bytes() const { return file_ ? file_->bytes() : std::string_view(); }

  // Ids [first, first + count). The view points into the column, or into `scratch`, which it fills.
  client::IdsView Slice(size_t first, size_t count, std::vector<uint64_t>* scratch) const;

 private:
  static absl::StatusOr<IdColumn> OpenNumbers(const std::string& path);
  static absl::StatusOr<IdColumn> OpenNpyNumbers(const std::string& path);
  absl::Status TakeTexts(std::string_view name, std::string_view unit,
                         std::vector<std::string_view> texts, IdType namespace_type);

  std::optional<MappedFile> file_;
  size_t counting_ = 0;  // how many, when the ids are 0, 1, 2 ...
  std::vector<uint64_t> numbers_;
  std::vector<std::string_view> texts_;  // in the file, or in the words
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_ID_COLUMN_H_
