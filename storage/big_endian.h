#ifndef VARVE_STORAGE_BIG_ENDIAN_H_
#define VARVE_STORAGE_BIG_ENDIAN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace varve::storage {

// Unsigned numbers as they are stored: big-endian, unaligned, so that bytes compare as numbers do.
template <typename T>
void StoreBigEndian(T value, char* out) {
  for (size_t i = sizeof(T); i-- > 0; value = static_cast<T>(value >> 8)) {
    out[i] = static_cast<char>(value & 0xff);
  }
}

template <typename T>
T LoadBigEndian(const char* in) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>((value << 8) | static_cast<uint8_t>(in[i]));
  }
  return value;
}

template <typename T>
std::array<char, sizeof(T)> BigEndian(T value) {
  std::array<char, sizeof(T)> bytes;
  StoreBigEndian(value, bytes.data());
  return bytes;
}

template <size_t kSize>
std::string_view View(const std::array<char, kSize>& bytes) {
  return std::string_view(bytes.data(), bytes.size());
}

}  // namespace varve::storage

#endif  // VARVE_STORAGE_BIG_ENDIAN_H_
