#include "server/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <sstream>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/counters.h"
#include "server/process_stats.h"
#include "server/rpc/admission.h"
#include "server/rpc/security.h"
#include "server/rpc/server_metrics.h"
#include "server/rpc/write_gate.h"
#include "server/version.h"

namespace varve::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Collects families in the order in which they are begun.
class Collector {
 public:
  // Of these, each series is added to the family begun last.
  void BeginCounter(const char* name, const char* help) { Begin(name, help, MetricType::Counter); }
  void BeginGauge(const char* name, const char* help) { Begin(name, help, MetricType::Gauge); }
  void BeginHistogram(const char* name, const char* help) {
    Begin(name, help, MetricType::Histogram);
  }
  void Add(Labels labels, double value) {
    ClientMetric& metric = AddSeries(std::move(labels));
    (families_.back().type == MetricType::Counter ? metric.counter.value : metric.gauge.value) =
        value;
  }
  void Add(Labels labels, const DurationHistogram& histogram) {
    const DurationHistogram::Snapshot read = histogram.Read();
    ClientMetric::Histogram& out = AddSeries(std::move(labels)).histogram;
    for (size_t i = 0; i < read.counts.size(); ++i) {
      out.sample_count += read.counts[i];
      const bool last = i == DurationHistogram::kBoundsSeconds.size();
      out.bucket.push_back({.cumulative_count = out.sample_count,
                            .upper_bound = last ? std::numeric_limits<double>::infinity()
                                                : DurationHistogram::kBoundsSeconds[i]});
    }
    out.sample_sum = read.sum_seconds;
  }

  // Families of one series.
  void Counter(const char* name, const char* help, double value) {
    BeginCounter(name, help);
    Add({}, value);
  }
  void Gauge(const char* name, const char* help, double value) {
    BeginGauge(name, help);
    Add({}, value);
  }

  std::string Text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  void Begin(const char* name, const char* help, MetricType type) {
    families_.push_back({.name = name, .help = help, .type = type, .metric = {}});
  }
  ClientMetric& AddSeries(Labels labels) {
    ClientMetric& metric = families_.back().metric.emplace_back();
    metric.label = std::move(labels);
    return metric;
  }

  std::vector<MetricFamily> families_;
};

void CollectProcess(Collector* out) {
  const ProcessStats process = ReadProcessStats();
  out->BeginGauge("varve_build_info", "Always 1; the labels say what is running.");
  out->Add({{"version", std::string(kVersion)}}, 1);
  out->Gauge("process_start_time_seconds", "When the process started, since the Unix epoch.",
             process.start_seconds);
  out->Counter("process_cpu_seconds_total", "Processor time used.", process.cpu_seconds);
  out->Gauge("process_resident_memory_bytes", "Memory resident, mapped files included.",
             static_cast<double>(process.resident_bytes));
  out->Gauge("process_open_fds", "Open files and connections.",
             static_cast<double>(process.open_files));
  out->Gauge("process_max_fds", "How many files and connections may be open.",
             static_cast<double>(process.open_files_max));
  out->Gauge("varve_memory_mapped_file_bytes",
             "Of the resident memory, pages of mapped files, which the system may drop.",
             static_cast<double>(process.mapped_file_bytes));
  const AllocatorStats allocator = ReadAllocatorStats();
  out->BeginGauge("varve_allocator_bytes", "What the allocator holds, by state.");
  out->Add({{"state", "allocated"}}, static_cast<double>(allocator.allocated_bytes));
  out->Add({{"state", "active"}}, static_cast<double>(allocator.active_bytes));
  out->Add({{"state", "resident"}}, static_cast<double>(allocator.resident_bytes));
}

void CollectCalls(const CallMetrics& calls, Collector* out) {
  out->BeginCounter("varve_calls_total", "Calls that have ended, by gRPC status code.");
  calls.ForEach([&](const std::string& method, const MethodMetrics& metrics) {
    for (size_t i = 0; i < MethodMetrics::kCodes; ++i) {
      const auto code = static_cast<absl::StatusCode>(i);
      // OK is there from the first call on; that a code was never returned needs no series.
      if (const uint64_t ended = metrics.ended(code); ended > 0 || i == 0) {
        out->Add({{"method", method}, {"code", absl::StatusCodeToString(code)}},
                 static_cast<double>(ended));
      }
    }
  });
  out->BeginHistogram("varve_call_duration_seconds",
                      "From the arrival of a call to its end; of a stream that is its whole life.");
  calls.ForEach([&](const std::string& method, const MethodMetrics& metrics) {
    out->Add({{"method", method}}, metrics.duration());
  });
  out->BeginGauge("varve_calls_in_flight", "Calls of one request and one answer under way.");
  calls.ForEach([&](const std::string& method, const MethodMetrics& metrics) {
    if (metrics.streams()) return;
    out->Add({{"method", method}}, static_cast<double>(metrics.open().value()));
  });
  out->BeginGauge("varve_streams_open", "Streams that are open.");
  calls.ForEach([&](const std::string& method, const MethodMetrics& metrics) {
    if (!metrics.streams()) return;
    out->Add({{"method", method}}, static_cast<double>(metrics.open().value()));
  });
}

void CollectSearches(const SearchMetrics& searches, Collector* out) {
  out->BeginHistogram(
      "varve_search_duration_seconds",
      "The search itself, by how most rows were searched; kind: one query or a batch.");
  for (size_t i = 0; i < kPlanLabels.size(); ++i) {
    const std::string plan(kPlanLabels[i]);
    out->Add({{"plan", plan}, {"kind", "single"}}, searches.of_plan[i].single);
    out->Add({{"plan", plan}, {"kind", "batch"}}, searches.of_plan[i].batch);
  }
  out->BeginCounter("varve_search_queries_total", "Queries answered, those of batches included.");
  for (size_t i = 0; i < kPlanLabels.size(); ++i) {
    out->Add({{"plan", std::string(kPlanLabels[i])}},
             static_cast<double>(searches.of_plan[i].queries.value()));
  }
  out->Gauge("varve_searches_in_flight", "Searches being worked on.",
             static_cast<double>(searches.in_flight.value()));
  out->Counter("varve_slow_searches_total", "Searches that took longer than --slow-query-ms.",
               static_cast<double>(searches.slow.value()));
}

void CollectWrites(const WriteMetrics& writes, Collector* out) {
  const auto counter = [&](const char* name, const char* help, const varve::Counter& value) {
    out->Counter(name, help, static_cast<double>(value.value()));
  };
  counter("varve_ingest_batches_total", "Batches committed, by stream or Upsert.", writes.batches);
  counter("varve_ingest_rows_total", "Records of these batches that were written.", writes.rows);
  counter("varve_ingest_vector_bytes_total", "Bytes of these records' vectors, as stored.",
          writes.vector_bytes);
  counter("varve_ingest_row_errors_total", "Records that were skipped for an error of their own.",
          writes.row_errors);
  counter("varve_ingest_duplicate_batches_total",
          "Batches that a producer sent again and that were there already.",
          writes.duplicate_batches);
  out->BeginHistogram("varve_ingest_ack_duration_seconds",
                      "From a batch's arrival to its acknowledgement, by durability.");
  out->Add({{"durability", "applied"}}, writes.acknowledged_applied);
  out->Add({{"durability", "synced"}}, writes.acknowledged_synced);
  counter("varve_deleted_records_total", "Records deleted by Delete.", writes.deleted_records);
  counter("varve_updated_records_total", "Records whose metadata UpdateMetadata changed.",
          writes.updated_records);
}

void CollectAdmission(const Admission& admission, Collector* out) {
  struct Named {
    const char* name;
    const Budget& budget;
  };
  const auto collect = [&](std::initializer_list<Named> budgets, auto value) {
    for (const Named& named : budgets) {
      out->Add({{"budget", named.name}}, static_cast<double>(value(named.budget)));
    }
  };
  const auto bytes = {Named{"ingest", admission.ingest_bytes}, Named{"read", admission.read_bytes}};
  out->BeginGauge("varve_budget_used_bytes",
                  "Bytes of batches, or searches and answers, under way.");
  collect(bytes, [](const Budget& budget) { return budget.used(); });
  out->BeginGauge("varve_budget_limit_bytes", "What they may take.");
  collect(bytes, [](const Budget& budget) { return budget.limit(); });
  out->BeginGauge("varve_budget_waiters", "Streams that are not read on until bytes are free.");
  collect(bytes, [](const Budget& budget) { return budget.waiters(); });
  out->Gauge("varve_admitted_calls", "Short calls that run or wait for a thread.",
             static_cast<double>(admission.calls.used()));
  out->Gauge("varve_admitted_calls_limit", "How many may; more are refused.",
             static_cast<double>(admission.calls.limit()));
}

void CollectGate(const WriteGate& gate, Collector* out) {
  out->Gauge("varve_writes_waiting",
             "Writes held back because memory is short, or the rate of ingest is reached.",
             static_cast<double>(gate.waiting()));
}

void CollectSecurity(const Security& security, Collector* out) {
  KeyRing::Counts keys;
  if (security.keys() != nullptr) keys = security.keys()->CountAt(absl::Now());
  out->BeginGauge("varve_api_keys", "Keys in the file of keys, by state.");
  out->Add({{"state", "valid"}}, static_cast<double>(keys.valid));
  out->Add({{"state", "expired"}}, static_cast<double>(keys.expired));
  out->BeginGauge("varve_certificate_expiry_timestamp_seconds",
                  "When the server's certificate expires, since the Unix epoch; none without TLS.");
  if (const auto expires = security.certificate_expires(); expires.has_value()) {
    out->Add({}, static_cast<double>(absl::ToUnixSeconds(*expires)));
  }
}

// The value of one family for a namespace.
struct NamespaceGauge {
  const char* name;
  const char* help;
  double (*value)(const engine::IndexStats& index);
};

constexpr NamespaceGauge kNamespaceGauges[] = {
    {"varve_namespace_segments", "Segments of its index.",
     [](const engine::IndexStats& index) { return static_cast<double>(index.segments); }},
    {"varve_namespace_live_rows", "Rows alive, one for each vector.",
     [](const engine::IndexStats& index) { return static_cast<double>(index.live_rows); }},
    {"varve_namespace_dead_rows", "Rows replaced or deleted whose space is not reclaimed yet.",
     [](const engine::IndexStats& index) { return static_cast<double>(index.dead_rows); }},
    {"varve_namespace_dead_ratio", "Dead rows among all rows.",
     [](const engine::IndexStats& index) {
       const auto rows = static_cast<double>(index.live_rows + index.dead_rows);
       return rows == 0 ? 0 : static_cast<double>(index.dead_rows) / rows;
     }},
    {"varve_namespace_tail_rows", "Rows committed and not yet linked: searches scan them.",
     [](const engine::IndexStats& index) { return static_cast<double>(index.unindexed_rows); }},
    {"varve_namespace_index_memory_bytes", "Memory of its index, mapped files apart.",
     [](const engine::IndexStats& index) { return static_cast<double>(index.memory_bytes); }},
    {"varve_namespace_index_file_bytes", "Files of its sealed segments.",
     [](const engine::IndexStats& index) { return static_cast<double>(index.file_bytes); }},
};

// Returns what all of them have together.
engine::IndexStats CollectNamespaces(std::vector<engine::OpenNamespace> open, Collector* out) {
  std::sort(open.begin(), open.end(), [](const auto& a, const auto& b) {
    return a.index.live_rows != b.index.live_rows ? a.index.live_rows > b.index.live_rows
                                                  : a.name < b.name;
  });
  engine::IndexStats all;
  for (const engine::OpenNamespace& one : open) all += one.index;
  if (open.size() > kNamespaceSeriesMax) {
    engine::OpenNamespace other{.name = "_other"};
    for (size_t i = kNamespaceSeriesMax; i < open.size(); ++i) other.index += open[i].index;
    open.resize(kNamespaceSeriesMax);
    open.push_back(other);
  }
  for (const NamespaceGauge& gauge : kNamespaceGauges) {
    out->BeginGauge(gauge.name, gauge.help);
    for (const engine::OpenNamespace& one : open) {
      out->Add({{"namespace", one.name}}, gauge.value(one.index));
    }
  }
  return all;
}

void CollectCompactions(const index::CompactionGate& compactions, Collector* out) {
  const index::CompactionCounters& counters = compactions.counters();
  out->Gauge("varve_compactions_running", "Merges and rebuilds of segments under way.",
             static_cast<double>(compactions.running()));
  out->BeginCounter("varve_compactions_total",
                    "Merges and rebuilds that ended; failed ones are repeated.");
  out->Add({{"result", "finished"}}, static_cast<double>(counters.finished.value()));
  out->Add({{"result", "failed"}}, static_cast<double>(counters.failed.value()));
  out->Counter("varve_compaction_rows_total", "Rows of the segments that finished ones made.",
               static_cast<double>(counters.rows.value()));
  out->BeginHistogram("varve_compaction_duration_seconds", "What finished ones took.");
  out->Add({}, counters.duration);
}

void CollectStore(const storage::StoreStats& store, Collector* out) {
  const auto gauge = [&](const char* name, const char* help, uint64_t value) {
    out->Gauge(name, help, static_cast<double>(value));
  };
  out->BeginGauge("varve_store_disk_bytes", "Files of the record store, by kind.");
  out->Add({{"kind", "log"}}, static_cast<double>(store.log_bytes));
  out->Add({{"kind", "tables"}}, static_cast<double>(store.table_bytes));
  out->Add({{"kind", "blobs"}}, static_cast<double>(store.blob_bytes));
  gauge("varve_store_pending_compaction_bytes", "What the record store has yet to rewrite.",
        store.pending_compaction_bytes);
  gauge("varve_store_running_compactions", "Compactions of the record store under way.",
        store.running_compactions);
  gauge("varve_store_running_flushes", "Flushes of the record store under way.",
        store.running_flushes);
  gauge("varve_store_delayed_write_bytes_per_second",
        "The rate that writes are slowed to; 0: they are not.", store.delayed_write_rate);
  gauge("varve_store_writes_stopped", "1 while writes wait for flushes or compactions.",
        store.writes_stopped ? 1 : 0);
  out->Counter("varve_store_background_errors_total",
               "Flushes and compactions of the record store that failed.",
               static_cast<double>(store.background_errors));
}

void CollectMemory(const engine::IndexStats& index, const storage::StoreStats& store,
                   const Admission& admission, Collector* out) {
  out->BeginGauge("varve_memory_bytes", "Memory by what it is for; mapped files are apart.");
  const auto add = [&](const char* component, uint64_t bytes) {
    out->Add({{"component", component}}, static_cast<double>(bytes));
  };
  add("index", index.memory_bytes);
  add("memtables", store.memtable_bytes);
  add("block_cache", store.block_cache_bytes);
  add("table_readers", store.table_reader_bytes);
  add("batches", admission.ingest_bytes.used());
  add("searches", admission.read_bytes.used());
  out->Gauge("varve_mapped_segment_bytes", "Files of sealed segments that are mapped.",
             static_cast<double>(index.file_bytes));
}

void CollectDisk(const engine::EngineStats& stats, Collector* out) {
  out->Gauge("varve_namespaces", "Namespaces.", static_cast<double>(stats.namespaces));
  out->Gauge("varve_open_namespaces", "Namespaces in use: the others take no memory.",
             static_cast<double>(stats.open_namespaces));
  out->Gauge("varve_data_directory_bytes", "Files in the data directory, snapshots apart.",
             static_cast<double>(stats.disk_bytes));
  out->Gauge("varve_disk_free_bytes", "Free on the file system of the data directory.",
             static_cast<double>(stats.disk_free_bytes));
  out->Gauge("varve_disk_size_bytes", "Size of that file system.",
             static_cast<double>(stats.disk_size_bytes));
}

void CollectSnapshots(const engine::Snapshots& snapshots, Collector* out) {
  const auto all = snapshots.List();
  out->BeginGauge("varve_snapshots", "Snapshots that there are; none where they cannot be read.");
  if (all.ok()) out->Add({}, static_cast<double>(all->size()));
  out->BeginGauge("varve_snapshot_newest_timestamp_seconds",
                  "When the newest snapshot was made, since the Unix epoch; none without any.");
  if (all.ok() && !all->empty()) {
    out->Add({}, static_cast<double>(absl::ToUnixSeconds(all->back().create_time)));
  }
}

}  // namespace

std::string MetricsText(const engine::Engine& engine, const Server& server) {
  const ServerMetrics& metrics = server.metrics();
  const storage::StoreStats store = engine.StoreStats();
  Collector out;
  CollectProcess(&out);
  CollectCalls(metrics.calls, &out);
  CollectSearches(metrics.searches, &out);
  CollectWrites(metrics.writes, &out);
  CollectAdmission(server.admission(), &out);
  CollectGate(server.gate(), &out);
  CollectSecurity(server.security(), &out);
  const engine::IndexStats index = CollectNamespaces(engine.OpenNamespaces(), &out);
  CollectCompactions(engine.compactions(), &out);
  CollectStore(store, &out);
  CollectMemory(index, store, server.admission(), &out);
  CollectDisk(engine.Stats(), &out);
  CollectSnapshots(engine.snapshots(), &out);
  return out.Text();
}

}  // namespace varve::server
