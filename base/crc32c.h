#ifndef VARVE_BASE_CRC32C_H_
#define VARVE_BASE_CRC32C_H_

#include <cstdint>
#include <string_view>

namespace varve {

// CRC-32C (Castagnoli; RFC 3720, appendix B.4) of `bytes`, or of what `crc` is of followed by `bytes`.
// Uses the processor's instruction where it has one.
uint32_t Crc32c(std::string_view bytes, uint32_t crc = 0);

}  // namespace varve

#endif  // VARVE_BASE_CRC32C_H_
