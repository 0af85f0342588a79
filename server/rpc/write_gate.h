#ifndef VARVE_SERVER_RPC_WRITE_GATE_H_
#define VARVE_SERVER_RPC_WRITE_GATE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/byte_rate.h"
#include "base/mutex.h"
#include "base/thread_pool.h"

namespace varve::server {

// What writes may take of the machine; 0: as much as there is.
struct WriteLimits {
  uint64_t memory_bytes = 0;        // of the whole process, mapped files apart
  uint64_t disk_reserve_bytes = 0;  // what is to stay free on the data directory's disk
  uint64_t data_bytes = 0;          // of the data directory
  uint64_t bytes_per_second = 0;    // of all clients together
};

// How the gate sees the machine. Called from any thread.
struct MachineProbes {
  std::function<uint64_t()> memory_used;
  std::function<absl::StatusOr<uint64_t>()> disk_free;
  std::function<uint64_t()> data_used;  // what the data directory takes; may take its time
  // Asks for memory to be given back; called now and then while there is too little. May take its time.
  std::function<void()> relieve;
};

// WriteGate stands before everything that adds data: it lets a write pass while the machine has room,
// holds it back while memory is short or the rate is reached, and refuses it when that lasts, or when the
// disk, or the data directory's share of it, is nearly full. Deletions and reads do not pass here: they go on.
//
// Memory is looked at before a write passes, and kMemoryShare of the budget is where writes begin to wait:
// the rest is for what is under way already. Thread-safe.
class WriteGate {
 public:
  static constexpr double kMemoryShare = 0.8;
  // How long a write waits for memory before it is refused.
  static constexpr absl::Duration kPatience = absl::Seconds(20);

  // `pool` runs what waited, and must outlive the gate.
  WriteGate(const WriteLimits& limits, MachineProbes probes, ThreadPool* pool,
            absl::Duration patience = kPatience);
  // Who waits still is never called.
  ~WriteGate();
  WriteGate(const WriteGate&) = delete;
  WriteGate& operator=(const WriteGate&) = delete;

  // Calls `done` when a write of so many bytes may go on: at once, or later on the pool, first come first
  // served. ResourceExhausted, with a retry hint, names the limit, its value and what was found.
  void Enter(size_t bytes, absl::AnyInvocable<void(absl::Status)> done) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether the disk has room for what does not pass here, such as a copy. ResourceExhausted, as above.
  absl::Status CheckDisk() ABSL_LOCKS_EXCLUDED(mu_);

  // What is known of the machine is looked at anew with them.
  void SetLimits(const WriteLimits& limits) ABSL_LOCKS_EXCLUDED(mu_);

  // The server is to stop: from now on nobody waits. Who would have to for memory is Unavailable.
  void Drain() ABSL_LOCKS_EXCLUDED(mu_);

  // Writes that wait.
  size_t waiting() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Waiter {
    size_t bytes;
    absl::Time since;
    absl::AnyInvocable<void(absl::Status)> done;
  };

  void Watch() ABSL_LOCKS_EXCLUDED(mu_);
  // Lets pass, or refuses, those who need not wait any longer.
  void ServeLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Whether a write that came at `since` may pass now; if it is refused, why.
  enum class Verdict { kPass, kWait, kRefuse };
  Verdict JudgeLocked(absl::Time since, absl::Time now, absl::Status* why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status CheckDiskLocked(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Looks at how large the data directory is, where that is limited.
  void MeasureData() ABSL_LOCKS_EXCLUDED(mu_);
  bool MemoryShortLocked(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void CountLocked(size_t bytes, absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const MachineProbes probes_;
  ThreadPool* const pool_;
  const absl::Duration patience_;
  mutable Mutex mu_;
  CondVar changed_;
  WriteLimits limits_ ABSL_GUARDED_BY(mu_);
  std::deque<Waiter> waiters_ ABSL_GUARDED_BY(mu_);
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  // What was seen last, and when.
  uint64_t memory_used_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time memory_seen_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  absl::Status disk_ ABSL_GUARDED_BY(mu_);
  absl::Time disk_seen_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  // As measured, and what has passed since then.
  uint64_t data_used_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t data_passed_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Time measure_data_at_ ABSL_GUARDED_BY(mu_) = absl::InfiniteFuture();
  ByteRate rate_;
  std::thread watcher_;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_WRITE_GATE_H_
