// What the machine's memory allows a walk: how long it takes to read rows at random places, when their
// addresses are known beforehand, so that nothing but the memory is waited for. The line above which no
// search that reads as many rows can get.
//
//   memory_bench
//
// Prints a table: nanoseconds a row, by the bytes of a row and of all rows.

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <vector>

#include "base/page_array.h"

namespace varve::bench {
namespace {

constexpr size_t kLine = 64;
constexpr size_t kReads = 1 << 18;

double NanosPerRow(size_t row_bytes, size_t total_bytes) {
  const PageArray<char> memory(total_bytes);
  for (size_t i = 0; i < total_bytes; i += kLine) memory.data()[i] = 1;
  std::mt19937 random(1);
  std::vector<uint32_t> rows(kReads);
  for (uint32_t& row : rows) row = static_cast<uint32_t>(random() % (total_bytes / row_bytes));
  volatile int64_t sink = 0;
  const auto begun = std::chrono::steady_clock::now();
  int64_t sum = 0;
  for (uint32_t row : rows) {
    const char* const begin = memory.data() + row * row_bytes;
    for (size_t i = 0; i < row_bytes; i += kLine) sum += begin[i];
  }
  sink = sum;
  (void)sink;
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begun)
             .count() /
         kReads;
}

void Run() {
  std::printf("%12s", "bytes a row");
  for (size_t mib : {4, 8, 16, 32, 64, 256}) std::printf("%9zu MiB", mib);
  std::printf("\n");
  for (size_t row_bytes : {160, 320, 832}) {
    std::printf("%12zu", row_bytes);
    for (size_t mib : {4, 8, 16, 32, 64, 256}) {
      std::printf("%13.1f", NanosPerRow(row_bytes, mib << 20));
    }
    std::printf("\n");
  }
}

}  // namespace
}  // namespace varve::bench

int main() {
  varve::bench::Run();
  return 0;
}
