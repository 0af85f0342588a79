#ifndef VARVE_BASE_ENDIAN_H_
#define VARVE_BASE_ENDIAN_H_

#include <bit>
#include <cstdint>
#include <cstring>

namespace varve {

static_assert(std::endian::native == std::endian::little, "formats are read and written in place");

// A number in eight bytes that sort as the number does. `bytes` need not be aligned.
inline void StoreBigEndian64(char* bytes, uint64_t value) {
  value = __builtin_bswap64(value);
  std::memcpy(bytes, &value, sizeof(value));
}
inline uint64_t LoadBigEndian64(const char* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return __builtin_bswap64(value);
}

}  // namespace varve

#endif  // VARVE_BASE_ENDIAN_H_
