#ifndef VARVE_SERVER_RPC_SERVER_METRICS_H_
#define VARVE_SERVER_RPC_SERVER_METRICS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/counters.h"
#include "base/mutex.h"
#include "server/engine/records.h"

namespace varve::server {

// The calls of one method.
class MethodMetrics {
 public:
  // `streams`: a call has more than one request or answer.
  explicit MethodMetrics(bool streams) : streams_(streams) {}

  void Begin() { open_.Begin(); }
  // It ends with this code, `duration` after it came.
  void Conclude(absl::StatusCode code, absl::Duration duration) {
    ended_[static_cast<size_t>(code)].Add();
    duration_.Observe(duration);
    open_.End();
  }

  bool streams() const { return streams_; }
  const InFlight& open() const { return open_; }
  const DurationHistogram& duration() const { return duration_; }
  // Those that ended so.
  uint64_t ended(absl::StatusCode code) const { return ended_[static_cast<size_t>(code)].value(); }

  static constexpr size_t kCodes = static_cast<size_t>(absl::StatusCode::kUnauthenticated) + 1;

 private:
  const bool streams_;
  InFlight open_;
  std::array<Counter, kCodes> ended_;
  DurationHistogram duration_;
};

// All methods that have been called. Thread-safe.
class CallMetrics {
 public:
  // The same object for each call of a method; lives as long as this.
  MethodMetrics& OfMethod(std::string_view method, bool streams) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    const auto found = methods_.find(method);
    if (found != methods_.end()) return found->second;
    return methods_.try_emplace(std::string(method), streams).first->second;
  }
  // In order of name. `visit` must not call back.
  void ForEach(absl::FunctionRef<void(const std::string&, const MethodMetrics&)> visit) const
      ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    for (const auto& [method, metrics] : methods_) visit(method, metrics);
  }

 private:
  mutable Mutex mu_;
  std::map<std::string, MethodMetrics, std::less<>> methods_ ABSL_GUARDED_BY(mu_);
};

// How most rows of a search were searched: see index::SearchPlan, and kExact where the client wanted
// a scan.
enum class PlanLabel : uint8_t { kExact, kScan, kFilteredWalk, kWalk };
inline constexpr std::array<std::string_view, 4> kPlanLabels = {"exact", "scan", "filtered_walk",
                                                                "walk"};

// Searches that were answered.
struct SearchMetrics {
  struct OfPlan {
    DurationHistogram single;  // a search each
    DurationHistogram batch;   // a SearchBatch each, of any number of queries
    Counter queries;           // of both
  };

  OfPlan& operator[](PlanLabel plan) { return of_plan[static_cast<size_t>(plan)]; }

  InFlight in_flight;
  Counter slow;  // took longer than --slow-query-ms
  std::array<OfPlan, kPlanLabels.size()> of_plan;
};

// Writes that were committed.
struct WriteMetrics {
  void CountBatch(const engine::WriteResult& result) {
    if (result.duplicate) return duplicate_batches.Add();
    batches.Add();
    rows.Add(result.records_written);
    vector_bytes.Add(result.vector_bytes);
    row_errors.Add(result.row_errors.size());
  }
  // The answer to a batch, `duration` after it was read.
  void CountAcknowledgement(bool synced, absl::Duration duration) {
    (synced ? acknowledged_synced : acknowledged_applied).Observe(duration);
  }

  Counter batches;
  Counter rows;
  Counter vector_bytes;
  Counter row_errors;
  Counter duplicate_batches;
  Counter deleted_records;
  Counter updated_records;
  DurationHistogram acknowledged_applied, acknowledged_synced;
};

// What the calls of a server have done since it started. Thread-safe.
struct ServerMetrics {
  CallMetrics calls;
  SearchMetrics searches;
  WriteMetrics writes;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_SERVER_METRICS_H_
