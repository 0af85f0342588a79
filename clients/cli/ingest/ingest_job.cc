#include "clients/cli/ingest/ingest_job.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::cli {
namespace {

constexpr size_t kSkippedRowsShown = 10;

}  // namespace

IngestJob::IngestJob(client::Client* client, const RecordFiles* files, IngestJobOptions options)
    : client_(client),
      files_(*files),
      options_(std::move(options)),
      plan_(options_.numbering.plan) {
  totals_.rows = plan_.rows;
}

absl::Status IngestJob::Run() {
  absl::Status status = OpenStreams();
  if (status.ok()) {
    if (totals().already > 0) options_.on_notice(AlreadyCommitted(totals()));
    status = RunStreams();
  }
  writers_.clear();
  return status;
}

absl::Status IngestJob::OpenStreams() {
  for (uint32_t stream = 0; stream < plan_.streams; ++stream) {
    VARVE_ASSIGN_OR_RETURN(
        auto writer,
        client::IngestWriter::Open(
            *client_,
            {.name_space = options_.name_space,
             .producer = ProducerOf(options_.run, options_.numbering, stream),
             .durability = options_.durability,
             .on_error = options_.on_error,
             .max_batch_bytes = options_.max_batch_bytes,
             .give_up_after = options_.retry_for,
             .on_ack = [this, stream](const client::IngestAck& ack) { OnAck(stream, ack); },
             .on_disconnect = [this](const absl::Status& status) { OnDisconnect(status); }}));
    const uint64_t rows = plan_.RowsUpTo(stream, writer->last_batch());
    writers_.push_back(std::move(writer));
    MutexLock lock(&mu_);
    totals_.already += rows;
    totals_.committed += rows;
  }
  return absl::OkStatus();
}

absl::Status IngestJob::RunStreams() {
  Mutex mu;
  absl::Status first_error;
  std::vector<std::thread> threads;
  for (uint32_t stream = 0; stream < plan_.streams; ++stream) {
    threads.emplace_back([&, stream] {
      absl::Status status = Send(stream);
      if (status.ok()) return;
      MutexLock lock(&mu);
      if (!first_error.ok()) return;
      first_error = std::move(status);
      client_->CancelAll();
    });
  }
  for (std::thread& thread : threads) thread.join();
  return first_error;
}

IngestTotals IngestJob::totals() const {
  MutexLock lock(&mu_);
  return totals_;
}

absl::Status IngestJob::Send(uint32_t stream) {
  client::IngestWriter& writer = *writers_[stream];
  RecordScratch scratch;
  for (uint64_t number = writer.last_batch() + 1; number <= plan_.BatchesOf(stream); ++number) {
    VARVE_ASSIGN_OR_RETURN(const client::RecordsView records,
                           files_.Read(plan_.Rows(stream, number), &scratch));
    const absl::Status status = writer.Write(records).status();
    if (!status.ok()) return Blame(stream, status);
  }
  const absl::Status status = writer.Finish();
  return status.ok() ? status : Blame(stream, status);
}

void IngestJob::OnAck(uint32_t stream, const client::IngestAck& ack) {
  const RowRange rows = plan_.Rows(stream, ack.number);
  MutexLock lock(&mu_);
  outage_told_ = false;
  totals_.committed += rows.count;
  totals_.sent_bytes += files_.VectorBytes(rows);
  totals_.sequence = std::max(totals_.sequence, ack.sequence);
  totals_.superseded += ack.superseded_rows.size();
  totals_.skipped += ack.row_errors.size();
  if (ack.sequence == 0) ++totals_.unheard_batches;
  for (const client::RowError& error : ack.row_errors) {
    if (totals_.first_skipped.size() == kSkippedRowsShown) return;
    totals_.first_skipped.push_back({rows.first + error.row, error.message});
  }
}

void IngestJob::OnDisconnect(const absl::Status& status) {
  {
    MutexLock lock(&mu_);
    if (std::exchange(outage_told_, true)) return;
  }
  options_.on_notice(StrCat("connection lost, looking for the server: ", status.message()));
}

// The server counts rows within a batch; the user knows those of the file.
absl::Status IngestJob::Blame(uint32_t stream, const absl::Status& status) const {
  const uint64_t number = writers_[stream]->committed() + 1;
  if (!absl::IsInvalidArgument(status) || number > plan_.BatchesOf(stream)) return status;
  const RowRange rows = plan_.Rows(stream, number);
  return absl::InvalidArgumentError(StrCat(files_.name(), ": in the batch of rows ", rows.first,
                                           " to ", rows.first + rows.count - 1, ": ",
                                           status.message()));
}

}  // namespace varve::cli
