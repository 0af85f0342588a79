#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/input/hdf5_file.h"
#include "clients/cli/input/number_file.h"
#include "clients/cli/input/vector_file.h"
#include "clients/cli/number_writer.h"
#include "clients/cli/verbs/verbs.h"
#include "clients/cpp/varve/tensor.h"

// convert: rows of numbers from a file of one format to one of another, block by block.
namespace varve::cli {
namespace {

using client::DType;

constexpr size_t kBlockBytes = size_t{4} << 20;
constexpr char kInNames[] = ".npy, .f32, .fvecs, .bvecs, .ivecs or .hdf5";
constexpr char kOutNames[] = ".npy, .f32, .fvecs, .bvecs, .ivecs, .hdf5 or .jsonl";

constexpr NpyType kF4 = {'f', 4}, kF8 = {'f', 8}, kU1 = {'u', 1}, kI4 = {'i', 4}, kI8 = {'i', 8};

struct ConvertOptions {
  std::string input;
  std::string output;
  std::string dataset = kTrainDataset;
  std::optional<uint32_t> dimension;
};

// What is read.
struct Source {
  Hdf5Shape shape;
  // Rows [first, first + count), in the file or in `scratch`.
  std::function<absl::StatusOr<std::string_view>(size_t first, size_t count, std::string* scratch)>
      read;
};

// The elements' type in a file of this name; nullopt where it is as it was.
std::optional<NpyType> TypeIn(const std::string& path) {
  if (path.ends_with(".f32") || path.ends_with(".fvecs")) return kF4;
  if (path.ends_with(".bvecs")) return kU1;
  if (path.ends_with(".ivecs")) return kI4;
  return std::nullopt;
}

// What vectors are made of: all of it can become float32.
std::optional<DType> VectorType(const NpyType& type) {
  if (type == kF4) return DType::kF32;
  if (type == NpyType{'f', 2}) return DType::kF16;
  if (type == kU1) return DType::kU8;
  if (type == NpyType{'i', 1}) return DType::kI8;
  return std::nullopt;
}

// The type that is written. Float64 becomes float32 everywhere.
absl::StatusOr<NpyType> TypeOut(const ConvertOptions& options, const NpyType& type) {
  const NpyType wanted = TypeIn(options.output).value_or(type == kF8 ? kF4 : type);
  const bool known = VectorType(type) || type == kF8 || type == kI4 || type == kI8;
  const bool fits = wanted == type || (wanted == kF4 && (VectorType(type) || type == kF8)) ||
                    (wanted == kI4 && type == kI8);
  if (!known) {
    return absl::InvalidArgumentError(StrCat(options.input, ": holds elements of type ",
                                             TypeText(type),
                                             ", wanted f2, f4, f8, u1, i1, i4 or i8"));
  }
  if (!fits) {
    return absl::InvalidArgumentError(StrCat(options.output, " holds ", TypeText(wanted), ", ",
                                             options.input, " has ", TypeText(type),
                                             ": convert to .npy or .hdf5, which hold every type"));
  }
  return wanted;
}

absl::StatusOr<Source> OpenSource(const ConvertOptions& options) {
  if (IsHdf5FileName(options.input)) {
    VARVE_ASSIGN_OR_RETURN(Hdf5Dataset opened, Hdf5Dataset::Open(options.input, options.dataset));
    const auto dataset = std::make_shared<Hdf5Dataset>(std::move(opened));
    return Source{.shape = dataset->shape(),
                  .read = [dataset](size_t first, size_t count,
                                    std::string* scratch) -> absl::StatusOr<std::string_view> {
                    VARVE_RETURN_IF_ERROR(dataset->Read(first, count, scratch));
                    return *scratch;
                  }};
  }
  VARVE_ASSIGN_OR_RETURN(NumberFile opened,
                         NumberFile::Open(options.input, options.dimension, options.dataset));
  const auto file = std::make_shared<NumberFile>(std::move(opened));
  return Source{.shape = {.type = file->type(), .rows = file->rows(), .columns = file->columns()},
                .read = [file](size_t first, size_t count,
                               std::string* scratch) -> absl::StatusOr<std::string_view> {
                  return file->Rows(first, count, scratch);
                }};
}

template <typename T>
T Element(std::string_view bytes, size_t i) {
  T element;
  std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
  return element;
}

template <typename T>
void Append(T element, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(&element), sizeof(element));
}

// Elements of one type as another's. InvalidArgument: a number is beyond it.
absl::StatusOr<std::string> Converted(std::string_view bytes, const NpyType& from,
                                      const NpyType& to) {
  if (from == to) return std::string(bytes);
  const size_t count = bytes.size() / from.size;
  std::string out;
  out.reserve(count * to.size);
  if (const auto dtype = VectorType(from)) {
    out.resize(count * sizeof(float));
    ToFloat32(*dtype, bytes.data(), count, reinterpret_cast<float*>(out.data()));
    return out;
  }
  for (size_t i = 0; i < count; ++i) {
    if (from == kF8) {
      Append(static_cast<float>(Element<double>(bytes, i)), &out);
      continue;
    }
    const auto number = Element<int64_t>(bytes, i);
    if (number != static_cast<int32_t>(number)) {
      return absl::InvalidArgumentError(StrCat(number, " is beyond int32"));
    }
    Append(static_cast<int32_t>(number), &out);
  }
  return out;
}

absl::Status CheckUsage(const ConvertOptions& options) {
  if (!IsVectorFileName(options.input) && !options.input.ends_with(".ivecs")) {
    return UsageError(StrCat("IN must be a ", kInNames, " file, is ", options.input));
  }
  if (NeedsDimension(options.input) && !options.dimension) {
    return UsageError("a .f32 file needs --dimension");
  }
  if (!IsVectorFileName(options.output) && !options.output.ends_with(".ivecs") &&
      !options.output.ends_with(".jsonl")) {
    return UsageError(StrCat("OUT must be a ", kOutNames, " file, is ", options.output));
  }
  return absl::OkStatus();
}

absl::Status Write(const ConvertOptions& options, const Source& source, const NpyType& type,
                   const std::string& path) {
  const Hdf5Shape& shape = source.shape;
  VARVE_ASSIGN_OR_RETURN(const auto writer, NumberWriter::Open(path, {.name = options.dataset,
                                                                      .type = type,
                                                                      .rows = shape.rows,
                                                                      .columns = shape.columns}));
  const size_t at_once = std::max<size_t>(1, kBlockBytes / (shape.columns * shape.type.size));
  std::string scratch;
  for (size_t first = 0; first < shape.rows; first += at_once) {
    const size_t count = std::min<size_t>(at_once, shape.rows - first);
    VARVE_ASSIGN_OR_RETURN(const std::string_view rows, source.read(first, count, &scratch));
    const auto converted = Converted(rows, shape.type, type);
    if (!converted.ok()) {
      return absl::InvalidArgumentError(StrCat(options.input, ": ", converted.status().message(),
                                               ", in rows ", first, " to ", first + count - 1));
    }
    VARVE_RETURN_IF_ERROR(writer->Write(*converted));
  }
  return writer->Close();
}

absl::Status Failed(const std::error_code& error, const std::string& path) {
  return absl::ErrnoToStatus(error.value(), StrCat("cannot write ", path));
}

// Under its own name only when it is whole: IN may be a file of that name. Other datasets of an HDF5 file
// stay.
absl::Status WriteWhole(const ConvertOptions& options, const Source& source, const NpyType& type) {
  const std::string partial = StrCat(options.output, ".partial",
                                     std::filesystem::path(options.output).extension().string());
  std::error_code error;
  std::filesystem::remove(partial, error);
  absl::Status status;
  if (IsHdf5FileName(options.output) && std::filesystem::exists(options.output, error)) {
    std::filesystem::copy_file(options.output, partial, error);
    if (error) status = Failed(error, partial);
  }
  if (status.ok()) status = Write(options, source, type, partial);
  if (status.ok()) {
    std::filesystem::rename(partial, options.output, error);
    if (error) status = Failed(error, options.output);
  }
  if (!status.ok()) std::filesystem::remove(partial, error);
  return status;
}

absl::Status RunConvert(const ConvertOptions& options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options));
  VARVE_ASSIGN_OR_RETURN(const Source source, OpenSource(options));
  VARVE_ASSIGN_OR_RETURN(const NpyType type, TypeOut(options, source.shape.type));
  VARVE_RETURN_IF_ERROR(WriteWhole(options, source, type));
  const Hdf5Shape& shape = source.shape;
  if (session.json) {
    session.PrintJson({{"output", options.output},
                       {"type", TypeText(type)},
                       {"rows", shape.rows},
                       {"dimension", shape.columns}});
  } else {
    session.out() << options.output << ": " << Thousands(shape.rows) << " x " << shape.columns
                  << " of " << TypeText(type) << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddConvert(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<ConvertOptions>();
  CLI::App* const verb = app.add_subcommand(
      "convert", "Writes a file of vectors, or of neighbours, in another format");
  verb->add_option("IN", options->input, kInNames)->required();
  verb->add_option("OUT", options->output, kOutNames)->required();
  verb->add_option("--dimension", options->dimension, "Elements per vector, for .f32");
  verb->add_option(
          "--dataset", options->dataset,
          "Dataset of an .hdf5 file, as ann-benchmarks names them: train, test, neighbors, "
          "distances; others in OUT stay")
      ->type_name("NAME")
      ->capture_default_str();
  verb->callback(
      [=] { *chosen = [=](Session& session) { return RunConvert(*options, session); }; });
}

}  // namespace varve::cli
