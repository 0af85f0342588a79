#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/input/npy.h"
#include "clients/cli/input/vector_file.h"
#include "clients/cli/verbs/verbs.h"
#include "clients/cpp/varve/tensor.h"

namespace varve::cli {
namespace {

using client::DType;

constexpr size_t kRowsAtOnce = 4096;
constexpr std::string_view kJsonLines = ".jsonl";

struct ConvertOptions {
  std::string input;
  std::string output;
  std::optional<uint32_t> dimension;
};

std::string_view NpyTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "<f4";
    case DType::kF16:
      return "<f2";
    case DType::kU8:
      return "|u1";
    case DType::kI8:
      return "|i1";
    case DType::kBF16:
      break;  // no file has it
  }
  return "";
}

// The elements' type in a file of this name; nullopt where it is as it was.
std::optional<DType> TypeIn(const std::string& path) {
  if (path.ends_with(".f32") || path.ends_with(".fvecs")) return DType::kF32;
  if (path.ends_with(".bvecs")) return DType::kU8;
  return std::nullopt;
}

std::string JsonLines(const TensorView& rows) {
  std::string lines;
  for (size_t row = 0; row < rows.rows; ++row) lines += ToText(RowToJson(rows, row)) + "\n";
  return lines;
}

// Each row behind its dimension.
std::string Vecs(const TensorView& rows) {
  const size_t row_bytes = rows.columns * SizeOf(rows.dtype);
  const auto dimension = static_cast<int32_t>(rows.columns);
  std::string bytes;
  for (size_t row = 0; row < rows.rows; ++row) {
    bytes.append(reinterpret_cast<const char*>(&dimension), sizeof(dimension));
    bytes.append(rows.bytes.substr(row * row_bytes, row_bytes));
  }
  return bytes;
}

// The rows as they stand in a file of this name.
std::string Formatted(const std::string& path, TensorView rows) {
  std::vector<float> floats;
  if (TypeIn(path) == DType::kF32 && rows.dtype != DType::kF32) {
    floats = client::ToFloats(rows);
    rows = client::View(floats, rows.columns);
  }
  if (path.ends_with(kJsonLines)) return JsonLines(rows);
  if (path.ends_with(".fvecs") || path.ends_with(".bvecs")) return Vecs(rows);
  return std::string(rows.bytes);
}

absl::Status CheckUsage(const ConvertOptions& options) {
  if (!IsVectorFileName(options.input)) {
    return UsageError(StrCat("IN must be a .npy, .f32, .fvecs or .bvecs file, is ", options.input));
  }
  if (NeedsDimension(options.input) && !options.dimension) {
    return UsageError("a .f32 file needs --dimension");
  }
  if (!IsVectorFileName(options.output) && !options.output.ends_with(kJsonLines)) {
    return UsageError(
        StrCat("OUT must be a .npy, .f32, .fvecs, .bvecs or .jsonl file, is ", options.output));
  }
  return absl::OkStatus();
}

absl::Status Write(const VectorFile& input, const std::string& path) {
  std::ofstream file(path, std::ios::binary);
  if (path.ends_with(".npy")) {
    file << NpyHeader(NpyTypeOf(input.dtype()), {input.rows(), input.dimension()});
  }
  std::string scratch;
  for (size_t first = 0; first < input.rows() && file; first += kRowsAtOnce) {
    const size_t count = std::min(kRowsAtOnce, input.rows() - first);
    file << Formatted(path, input.Rows(first, count, &scratch));
  }
  file.close();
  if (file) return absl::OkStatus();
  // A stream does not promise to leave a reason.
  return absl::ErrnoToStatus(errno != 0 ? errno : EIO, StrCat("cannot write ", path));
}

absl::Status RunConvert(const ConvertOptions& options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options));
  VARVE_ASSIGN_OR_RETURN(const VectorFile input,
                         VectorFile::Open(options.input, options.dimension));
  if (TypeIn(options.output) == DType::kU8 && input.dtype() != DType::kU8) {
    return absl::InvalidArgumentError(StrCat(options.output, " holds u8, ", options.input, " has ",
                                             DTypeName(input.dtype()),
                                             ": convert to .fvecs or .npy"));
  }
  // Under its own name only when it is whole: IN may be a file of that name.
  const std::string partial = StrCat(options.output, ".partial",
                                     std::filesystem::path(options.output).extension().string());
  absl::Status status = Write(input, partial);
  std::error_code error;
  if (status.ok()) {
    std::filesystem::rename(partial, options.output, error);
    if (error) status = absl::ErrnoToStatus(error.value(), StrCat("cannot write ", options.output));
  }
  if (!status.ok()) {
    std::filesystem::remove(partial, error);
    return status;
  }
  if (session.json) {
    session.PrintJson(
        {{"output", options.output}, {"rows", input.rows()}, {"dimension", input.dimension()}});
  } else {
    session.out() << options.output << ": " << Thousands(input.rows()) << " x " << input.dimension()
                  << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddConvert(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<ConvertOptions>();
  CLI::App* const verb =
      app.add_subcommand("convert", "Writes a file of vectors in another format");
  verb->add_option("IN", options->input, ".npy, .f32, .fvecs or .bvecs")->required();
  verb->add_option("OUT", options->output, ".npy, .f32, .fvecs, .bvecs or .jsonl")->required();
  verb->add_option("--dimension", options->dimension, "Elements per vector, for .f32");
  verb->callback(
      [=] { *chosen = [=](Session& session) { return RunConvert(*options, session); }; });
}

}  // namespace varve::cli
