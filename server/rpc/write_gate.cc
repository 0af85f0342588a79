#include "server/rpc/write_gate.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "base/str_cat.h"
#include "server/rpc/status_mapping.h"

namespace varve::server {
namespace {

// How old what is known of the machine may be.
constexpr absl::Duration kMemoryAge = absl::Milliseconds(5);
constexpr absl::Duration kDiskAge = absl::Milliseconds(100);
constexpr absl::Duration kDataAge = absl::Seconds(1);
// Measuring the data directory may take one part in so many of the watcher's time.
constexpr int kMeasuringShare = 20;
// How often waiting writes are looked at, and memory is asked for.
constexpr absl::Duration kWatchInterval = absl::Milliseconds(20);
constexpr absl::Duration kRelieveInterval = absl::Seconds(1);

constexpr absl::Duration kRetryMemory = absl::Seconds(1);
constexpr absl::Duration kRetryDisk = absl::Seconds(10);

constexpr uint64_t kMiB = uint64_t{1} << 20;

}  // namespace

WriteGate::WriteGate(const WriteLimits& limits, MachineProbes probes, ThreadPool* pool,
                     absl::Duration patience)
    : probes_(std::move(probes)), pool_(pool), patience_(patience), limits_(limits) {
  MeasureData();
  watcher_ = std::thread([this] { Watch(); });
}

WriteGate::~WriteGate() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  changed_.SignalAll();
  watcher_.join();
}

void WriteGate::Enter(size_t bytes, absl::AnyInvocable<void(absl::Status)> done) {
  absl::Status why;
  {
    MutexLock lock(&mu_);
    const absl::Time now = absl::Now();
    const Verdict verdict = waiters_.empty() ? JudgeLocked(now, now, &why) : Verdict::kWait;
    if (verdict == Verdict::kWait) {
      waiters_.push_back({bytes, now, std::move(done)});
      changed_.SignalAll();
      return;
    }
    if (verdict == Verdict::kPass) CountLocked(bytes, now);
  }
  done(std::move(why));
}

absl::Status WriteGate::CheckDisk() {
  MutexLock lock(&mu_);
  return CheckDiskLocked(absl::Now());
}

void WriteGate::SetLimits(const WriteLimits& limits) {
  {
    MutexLock lock(&mu_);
    limits_ = limits;
    memory_seen_ = disk_seen_ = absl::InfinitePast();
  }
  MeasureData();
  changed_.SignalAll();
}

void WriteGate::MeasureData() {
  uint64_t passed_before = 0;
  {
    MutexLock lock(&mu_);
    measure_data_at_ = absl::InfiniteFuture();
    if (limits_.data_bytes == 0) return;
    passed_before = data_passed_;
  }
  const absl::Time begin = absl::Now();
  const uint64_t used = probes_.data_used();
  const absl::Time end = absl::Now();
  MutexLock lock(&mu_);
  data_used_ = used;
  data_passed_ -= std::min(data_passed_, passed_before);
  measure_data_at_ = end + std::max(kDataAge, (end - begin) * kMeasuringShare);
}

void WriteGate::Drain() {
  MutexLock lock(&mu_);
  draining_ = true;
}

size_t WriteGate::waiting() const {
  MutexLock lock(&mu_);
  return waiters_.size();
}

void WriteGate::Watch() {
  absl::Time relieved = absl::InfinitePast();
  while (true) {
    bool relieve = false, measure = false;
    {
      MutexLock lock(&mu_);
      while (!stopping_ && waiters_.empty() && absl::Now() < measure_data_at_) {
        changed_.WaitUntil(&mu_, absl::ToChronoTime(measure_data_at_));
      }
      if (stopping_) return;
      const absl::Time now = absl::Now();
      measure = now >= measure_data_at_;
      relieve = MemoryShortLocked(now) && now - relieved >= kRelieveInterval;
      ServeLocked();
    }
    if (measure) MeasureData();
    if (relieve) {
      probes_.relieve();
      relieved = absl::Now();
    }
    absl::SleepFor(kWatchInterval);
  }
}

void WriteGate::ServeLocked() {
  const absl::Time now = absl::Now();
  while (!waiters_.empty()) {
    Waiter& first = waiters_.front();
    absl::Status why;
    const Verdict verdict = JudgeLocked(first.since, now, &why);
    if (verdict == Verdict::kWait) return;
    if (verdict == Verdict::kPass) CountLocked(first.bytes, now);
    pool_->Schedule(
        [done = std::move(first.done), why = std::move(why)]() mutable { done(std::move(why)); });
    waiters_.pop_front();
  }
}

WriteGate::Verdict WriteGate::JudgeLocked(absl::Time since, absl::Time now, absl::Status* why) {
  *why = CheckDiskLocked(now);
  if (!why->ok()) return Verdict::kRefuse;
  if (MemoryShortLocked(now)) {
    if (draining_) {
      *why = absl::UnavailableError(
          "the server is shutting down, and its memory is used up: send it again when it is back");
      return Verdict::kRefuse;
    }
    if (now - since < patience_) return Verdict::kWait;
    *why = WithRetryAfter(
        absl::ResourceExhaustedError(StrCat(
            "the server's memory is used up: ", memory_used_ / kMiB, " MiB of its budget of ",
            limits_.memory_bytes / kMiB,
            " MiB (--memory-budget-mib); retry later, delete what is not needed, or raise it")),
        kRetryMemory);
    return Verdict::kRefuse;
  }
  const bool owed = rate_.Owed(limits_.bytes_per_second, now) > absl::ZeroDuration();
  return owed && !draining_ ? Verdict::kWait : Verdict::kPass;
}

absl::Status WriteGate::CheckDiskLocked(absl::Time now) {
  if (limits_.data_bytes != 0 && data_used_ + data_passed_ >= limits_.data_bytes) {
    return WithRetryAfter(
        absl::ResourceExhaustedError(
            StrCat("the data directory takes ", (data_used_ + data_passed_) / kMiB,
                   " MiB, and may take ", limits_.data_bytes / kMiB,
                   " MiB (--max-data-mib); deletions and reads go on: make room, or raise it")),
        kRetryDisk);
  }
  if (limits_.disk_reserve_bytes == 0) return absl::OkStatus();
  if (now - disk_seen_ < kDiskAge) return disk_;
  disk_seen_ = now;
  disk_ = absl::OkStatus();
  const auto free = probes_.disk_free();
  if (!free.ok()) {
    disk_ = free.status();
  } else if (*free < limits_.disk_reserve_bytes) {
    disk_ = WithRetryAfter(
        absl::ResourceExhaustedError(StrCat(
            "the disk of the data directory is nearly full: ", *free / kMiB, " MiB are free, and ",
            limits_.disk_reserve_bytes / kMiB,
            " MiB are to stay so (--disk-reserve-mib); deletions and reads go on: make room")),
        kRetryDisk);
  }
  return disk_;
}

bool WriteGate::MemoryShortLocked(absl::Time now) {
  if (limits_.memory_bytes == 0) return false;
  if (now - memory_seen_ >= kMemoryAge) {
    memory_used_ = probes_.memory_used();
    memory_seen_ = now;
  }
  return static_cast<double>(memory_used_) >
         kMemoryShare * static_cast<double>(limits_.memory_bytes);
}

void WriteGate::CountLocked(size_t bytes, absl::Time now) {
  if (limits_.data_bytes != 0) data_passed_ += bytes;
  rate_.Pass(bytes, limits_.bytes_per_second, now);
}

}  // namespace varve::server
