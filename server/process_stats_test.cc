#include "server/process_stats.h"

#include <gtest/gtest.h>

#include <cstring>
#include <ctime>
#include <fstream>
#include <memory>

namespace varve::server {
namespace {

// Memory that is really taken: the compiler must not see that nobody reads it.
std::unique_ptr<char[]> Fill(size_t size) {
  auto bytes = std::make_unique<char[]>(size);
  std::memset(bytes.get(), 1, size);
  asm volatile("" : : "r"(bytes.get()) : "memory");
  return bytes;
}

TEST(ProcessStatsTest, AProcessFindsWhatItTakes) {
  const ProcessStats before = ReadProcessStats();
  EXPECT_GT(before.start_seconds, 0);
  EXPECT_LE(before.start_seconds, static_cast<double>(std::time(nullptr)) + 2);
  EXPECT_GT(before.open_files_max, before.open_files);

  const std::ifstream file("/proc/self/stat");
  constexpr size_t kBytes = size_t{64} << 20;
  const auto bytes = Fill(kBytes);
  while (ReadProcessStats().cpu_seconds <= before.cpu_seconds) Fill(1);
  const ProcessStats after = ReadProcessStats();
  EXPECT_EQ(after.open_files, before.open_files + 1);
  EXPECT_GE(after.resident_bytes, before.resident_bytes + kBytes / 2);
  EXPECT_LT(after.mapped_file_bytes, after.resident_bytes);
  EXPECT_EQ(after.start_seconds, before.start_seconds);
}

// As this one is.
TEST(ProcessStatsTest, AProgramWithAnotherAllocatorIsToldNothingOfIt) {
  const AllocatorStats stats = ReadAllocatorStats();
  EXPECT_EQ(stats.allocated_bytes, 0u);
  EXPECT_EQ(stats.active_bytes, 0u);
  EXPECT_EQ(stats.resident_bytes, 0u);
}

TEST(ProcessMemoryBytesTest, GrowsWithWhatIsTouched) {
  constexpr uint64_t kMiB = uint64_t{1} << 20;
  const uint64_t before = ProcessMemoryBytes();
  EXPECT_GT(before, 0u);
  const auto touched = Fill(64 * kMiB);
  EXPECT_GE(ProcessMemoryBytes(), before + 60 * kMiB);
}

}  // namespace
}  // namespace varve::server
