#include "server/process_stats.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>
#include <system_error>

// jemalloc's, which only programs that link it have. Not its header: that would make every user of this
// one link it.
extern "C" int mallctl(const char* name, void* old_value, size_t* old_size, void* new_value,
                       size_t new_size) __attribute__((weak));

namespace varve::server {
namespace {

// Behind the command's name in /proc/self/stat, counted from 0: see proc(5).
constexpr int kUserTicks = 11;
constexpr int kSystemTicks = 12;
constexpr int kStartTicks = 19;

// Where the system's clock of ticks began, since the Unix epoch.
double BootSeconds() {
  std::ifstream file("/proc/stat");
  for (std::string word; file >> word;) {
    double seconds = 0;
    if (word == "btime" && file >> seconds) return seconds;
  }
  return 0;
}

void ReadTimes(ProcessStats* stats) {
  std::ifstream file("/proc/self/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  const size_t name_end = text.rfind(')');  // the name itself may hold anything
  if (name_end == std::string::npos) return;
  std::istringstream fields(text.substr(name_end + 1));
  const auto ticks_per_second = static_cast<double>(sysconf(_SC_CLK_TCK));
  std::string field;
  for (int i = 0; fields >> field && i <= kStartTicks; ++i) {
    if (i != kUserTicks && i != kSystemTicks && i != kStartTicks) continue;
    const double seconds = std::stod(field) / ticks_per_second;
    if (i == kStartTicks) {
      stats->start_seconds = BootSeconds() + seconds;
    } else {
      stats->cpu_seconds += seconds;
    }
  }
}

void ReadMemory(ProcessStats* stats) {
  std::ifstream file("/proc/self/statm");
  uint64_t total_pages = 0, resident_pages = 0, file_pages = 0;
  if (!(file >> total_pages >> resident_pages >> file_pages)) return;
  const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  stats->resident_bytes = resident_pages * page_bytes;
  stats->mapped_file_bytes = file_pages * page_bytes;
}

void ReadFiles(ProcessStats* stats) {
  std::error_code error;
  std::filesystem::directory_iterator it("/proc/self/fd", error);
  for (; !error && it != std::filesystem::directory_iterator(); it.increment(error)) {
    ++stats->open_files;
  }
  // One of them is the folder itself, being read.
  stats->open_files = std::max<uint64_t>(stats->open_files, 1) - 1;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) stats->open_files_max = limit.rlim_cur;
}

uint64_t ReadAllocator(const char* name) {
  size_t value = 0;
  size_t size = sizeof(value);
  return mallctl(name, &value, &size, nullptr, 0) == 0 ? value : 0;
}

}  // namespace

ProcessStats ReadProcessStats() {
  ProcessStats stats;
  ReadTimes(&stats);
  ReadMemory(&stats);
  ReadFiles(&stats);
  return stats;
}

AllocatorStats ReadAllocatorStats() {
  if (mallctl == nullptr) return {};
  // It tells what it knew when its epoch was last advanced.
  uint64_t epoch = 1;
  mallctl("epoch", nullptr, nullptr, &epoch, sizeof(epoch));
  return {.allocated_bytes = ReadAllocator("stats.allocated"),
          .active_bytes = ReadAllocator("stats.active"),
          .resident_bytes = ReadAllocator("stats.resident")};
}

uint64_t ProcessMemoryBytes() {
  std::FILE* const statm = std::fopen("/proc/self/statm", "re");
  if (statm == nullptr) return 0;
  unsigned long total = 0, resident = 0, shared = 0;
  const int found = std::fscanf(statm, "%lu %lu %lu", &total, &resident, &shared);
  std::fclose(statm);
  if (found != 3) return 0;
  return (resident - std::min(resident, shared)) * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace varve::server
