#ifndef VARVE_CLIENTS_CLI_INPUT_NPY_H_
#define VARVE_CLIENTS_CLI_INPUT_NPY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "clients/cli/input/mapped_file.h"
#include "clients/cli/input/npy_type.h"

namespace varve::cli {

// numpy's .npy format, versions 1 to 3.

// An array in a mapped file: C order, little-endian, its bytes exactly product(shape) x size.
struct NpyArray {
  MappedFile file;
  NpyType type;
  std::vector<uint64_t> shape;
  std::string_view data;  // in `file`
};

// InvalidArgument names the file, what was wanted and what was found: not .npy, truncated, Fortran
// order, big-endian, a structured dtype, bytes left over.
absl::StatusOr<NpyArray> OpenNpy(const std::string& path);

// All elements of an array of one dimension of u8, u4, i8 or i4. InvalidArgument names the file and
// what was found: another shape or type, or a negative number. `what` they are: "ids".
absl::StatusOr<std::vector<uint64_t>> NpyNumbers(const NpyArray& array, std::string_view what);

// "(20000, 300)"
std::string NpyShapeText(const std::vector<uint64_t>& shape);

// The bytes that stand before an array's data in a file of version 1. `dtype` as in "<f4".
std::string NpyHeader(std::string_view dtype, const std::vector<uint64_t>& shape);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_NPY_H_
