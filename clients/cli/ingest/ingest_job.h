#ifndef VARVE_CLIENTS_CLI_INGEST_INGEST_JOB_H_
#define VARVE_CLIENTS_CLI_INGEST_INGEST_JOB_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "base/mutex.h"
#include "clients/cli/ingest/fingerprint.h"
#include "clients/cli/ingest/ingest_totals.h"
#include "clients/cli/ingest/record_files.h"
#include "clients/cpp/varve/client.h"
#include "clients/cpp/varve/ingest_writer.h"

namespace varve::cli {

struct IngestJobOptions {
  std::string name_space;
  std::string run;  // the producer's name as the user knows it
  Numbering numbering;
  size_t max_batch_bytes = kBatchBytesMax;
  client::Durability durability = client::Durability::kApplied;
  client::OnError on_error = client::OnError::kFailBatch;
  absl::Duration retry_for;  // how long to look for a server that went away
  std::function<void(const std::string&)> on_notice;  // a line for the user, while Run() runs
};

// Sends the records of files that the server does not have yet, over one stream or several. Run()
// is for one thread; totals() is for any. What it is given must outlive it.
class IngestJob {
 public:
  IngestJob(client::Client* client, const RecordFiles* files, IngestJobOptions options);

  // Learns what earlier runs committed, sends the rest and waits until all of it is acknowledged.
  // When one stream fails, all are ended (with Client::CancelAll) and its error is returned; it
  // names the rows when they are to blame. Call it once.
  absl::Status Run() ABSL_LOCKS_EXCLUDED(mu_);

  IngestTotals totals() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::Status OpenStreams() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status RunStreams();
  absl::Status Send(uint32_t stream);
  void OnAck(uint32_t stream, const client::IngestAck& ack) ABSL_LOCKS_EXCLUDED(mu_);
  // Tells the user once for all streams and attempts, until something gets across again.
  void OnDisconnect(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Blame(uint32_t stream, const absl::Status& status) const;

  client::Client* const client_;
  const RecordFiles& files_;
  const IngestJobOptions options_;
  const BatchPlan plan_;

  mutable Mutex mu_;
  IngestTotals totals_ ABSL_GUARDED_BY(mu_);
  bool outage_told_ ABSL_GUARDED_BY(mu_) = false;
  // One a stream, while Run() runs: their callbacks use the rest.
  std::vector<std::unique_ptr<client::IngestWriter>> writers_;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INGEST_INGEST_JOB_H_
