#include "clients/cli/number_writer.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/npy.h"
#include "clients/cli/json.h"

namespace varve::cli {
namespace {

// As numpy writes it.
std::string NpyTypeText(const NpyType& type) {
  return StrCat(type.size == 1 ? "|" : "<", TypeText(type));
}

template <typename T>
Json Numbers(std::string_view row) {
  Json list = Json::array();
  for (size_t at = 0; at < row.size(); at += sizeof(T)) {
    T number;
    std::memcpy(&number, row.data() + at, sizeof(number));
    list.push_back(number);
  }
  return list;
}

DType VectorType(const NpyType& type) {
  if (type == NpyType{'f', 2}) return DType::kF16;
  if (type == NpyType{'u', 1}) return DType::kU8;
  if (type == NpyType{'i', 1}) return DType::kI8;
  return DType::kF32;
}

// Files of rows that stand one behind the other, each as it is or with something around it.
class StreamWriter final : public NumberWriter {
 public:
  StreamWriter(const std::string& path, const Hdf5Shape& shape)
      : path_(path), shape_(shape), file_(path, std::ios::binary) {
    if (path.ends_with(".npy")) {
      file_ << NpyHeader(NpyTypeText(shape.type), {shape.rows, shape.columns});
    }
  }

  absl::Status Write(std::string_view bytes) override {
    const size_t row_bytes = shape_.columns * shape_.type.size;
    if (path_.ends_with(".npy") || path_.ends_with(".f32")) {
      file_ << bytes;
    } else {
      for (size_t at = 0; at < bytes.size(); at += row_bytes) {
        WriteRow(bytes.substr(at, row_bytes));
      }
    }
    return Outcome();
  }

  absl::Status Close() override {
    file_.close();
    return Outcome();
  }

 private:
  void WriteRow(std::string_view row) {
    if (path_.ends_with(".jsonl")) {
      file_ << ToText(RowJson(row)) << "\n";
      return;
    }
    const auto columns = static_cast<int32_t>(shape_.columns);
    file_.write(reinterpret_cast<const char*>(&columns), sizeof(columns)) << row;
  }

  Json RowJson(std::string_view row) const {
    if (shape_.type == NpyType{'i', 4}) return Numbers<int32_t>(row);
    if (shape_.type == NpyType{'i', 8}) return Numbers<int64_t>(row);
    return RowToJson(
        {.dtype = VectorType(shape_.type), .rows = 1, .columns = shape_.columns, .bytes = row}, 0);
  }

  absl::Status Outcome() const {
    if (file_) return absl::OkStatus();
    // A stream does not promise to leave a reason.
    return absl::ErrnoToStatus(errno != 0 ? errno : EIO, StrCat("cannot write ", path_));
  }

  const std::string path_;
  const Hdf5Shape shape_;
  std::ofstream file_;
};

class DatasetWriter final : public NumberWriter {
 public:
  explicit DatasetWriter(Hdf5Writer writer) : writer_(std::move(writer)) {}

  absl::Status Write(std::string_view bytes) override { return writer_.Write(bytes); }
  absl::Status Close() override { return writer_.Close(); }

 private:
  Hdf5Writer writer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<NumberWriter>> NumberWriter::Open(const std::string& path,
                                                                 const Hdf5Shape& shape) {
  if (!IsHdf5FileName(path)) return std::make_unique<StreamWriter>(path, shape);
  VARVE_ASSIGN_OR_RETURN(Hdf5Writer writer, Hdf5Writer::Open(path, shape));
  return std::make_unique<DatasetWriter>(std::move(writer));
}

}  // namespace varve::cli
