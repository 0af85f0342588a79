#ifndef VARVE_CLIENTS_CLI_INPUT_NPY_TYPE_H_
#define VARVE_CLIENTS_CLI_INPUT_NPY_TYPE_H_

#include <cstddef>
#include <string>

#include "base/str_cat.h"

namespace varve::cli {

// The type of the elements of a file, as numpy writes it: '<f4' is kind 'f', size 4.
struct NpyType {
  char kind = 0;  // 'f', 'u', 'i', 'b', 'c' ...
  size_t size = 0;

  friend bool operator==(const NpyType&, const NpyType&) = default;
};

// "f4"
inline std::string TypeText(const NpyType& type) {
  return StrCat(std::string(1, type.kind), type.size);
}

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INPUT_NPY_TYPE_H_
