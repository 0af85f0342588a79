#ifndef VARVE_INDEX_KERNELS_CODE_DOTS_VNNI_H_
#define VARVE_INDEX_KERNELS_CODE_DOTS_VNNI_H_

#include "index/kernels/distance.h"

namespace varve::index {

// Kernels::code_dots by AVX-512 VNNI, which multiplies 64 codes at a time; null where the machine has no
// such instructions. Highway as Debian 12 has it does not know them.
CodeDotsFunction CodeDotsVnni();

}  // namespace varve::index

#endif  // VARVE_INDEX_KERNELS_CODE_DOTS_VNNI_H_
