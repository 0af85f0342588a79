#ifndef VARVE_CLIENTS_CLI_PROGRESS_H_
#define VARVE_CLIENTS_CLI_PROGRESS_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace varve::cli {

// How far a long job is.
struct Progress {
  uint64_t before = 0;  // rows done before this run began
  uint64_t done = 0;    // rows done, those included
  uint64_t total = 0;   // rows in all
  uint64_t bytes = 0;   // done in this run
};

// "12,288 of 60,000 rows (20%), 5,321 rows/s, 16.3 MB/s, 9s left". What cannot be told is left out.
std::string FormatProgress(const Progress& progress, absl::Duration elapsed);

// Shows a line that keeps changing: on a terminal in place, several times a second; elsewhere as
// lines of their own, every few seconds. Thread-safe. Owns a thread; the destructor ends it, and
// clears the line on a terminal.
class ProgressDisplay {
 public:
  // `line` is called on the display's thread until the destructor returns.
  ProgressDisplay(std::ostream* stream, bool is_terminal, std::function<std::string()> line);
  ~ProgressDisplay();
  ProgressDisplay(const ProgressDisplay&) = delete;
  ProgressDisplay& operator=(const ProgressDisplay&) = delete;

  // Prints a line that stays, above the changing one.
  void Print(std::string_view message) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  std::ostream& stream_;
  const bool is_terminal_;
  const std::function<std::string()> line_;
  Mutex mu_;
  CondVar stop_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_PROGRESS_H_
