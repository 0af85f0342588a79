#ifndef VARVE_SERVER_PROCESS_STATS_H_
#define VARVE_SERVER_PROCESS_STATS_H_

#include <cstdint>

namespace varve::server {

// This process as the system sees it. What it does not tell is 0.
struct ProcessStats {
  double start_seconds = 0;  // since the Unix epoch
  double cpu_seconds = 0;    // of all threads so far
  uint64_t resident_bytes = 0;
  uint64_t mapped_file_bytes = 0;  // of them, pages of files: the system may drop those
  uint64_t open_files = 0;
  uint64_t open_files_max = 0;
};
ProcessStats ReadProcessStats();

// Its memory without the pages of mapped files, cheaply: the whole of what a budget is for.
uint64_t ProcessMemoryBytes();

// What the allocator (jemalloc) has given out and holds. All 0 in programs with another one.
struct AllocatorStats {
  uint64_t allocated_bytes = 0;  // in use
  uint64_t active_bytes = 0;     // of pages with something in use on them
  uint64_t resident_bytes = 0;   // of all its pages, those to be given back included
};
AllocatorStats ReadAllocatorStats();

}  // namespace varve::server

#endif  // VARVE_SERVER_PROCESS_STATS_H_
