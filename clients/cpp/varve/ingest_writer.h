#ifndef VARVE_CLIENTS_CPP_VARVE_INGEST_WRITER_H_
#define VARVE_CLIENTS_CPP_VARVE_INGEST_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "clients/cpp/varve/client.h"
#include "clients/cpp/varve/records.h"

namespace varve::client {

// A batch is committed.
struct IngestAck {
  uint64_t number = 0;
  // The commit; a search with this min_sequence sees it. 0 when the connection broke before the
  // acknowledgement came and the commit was learned on reconnecting: then nothing below is known.
  uint64_t sequence = 0;
  Durability durability = Durability::kApplied;
  bool duplicate = false;  // had been committed before, and was not applied again
  uint64_t records_written = 0;
  std::vector<uint32_t> superseded_rows;  // passed over: the same id comes again later in the batch
  std::vector<RowError> row_errors;       // with OnError::kSkip
};

struct IngestOptions {
  std::string name_space;
  // Names this sequence of batches, 1 to 256 bytes. Whoever opens a writer under the name again
  // goes on where the last one ended; two at the same time are an error.
  std::string producer;
  Durability durability = Durability::kApplied;
  OnError on_error = OnError::kFailBatch;
  // A larger batch is refused. 4 MiB is what any gRPC peer takes.
  size_t max_batch_bytes = size_t{4} << 20;
  // The writer ends when it got no batch across and was without a connection for so long.
  absl::Duration give_up_after = absl::Seconds(30);
  // Called for every batch, in order of number. Must be brief: no acknowledgement is read
  // meanwhile.
  std::function<void(const IngestAck&)> on_ack;
  // Called when the connection broke and will be tried again.
  std::function<void(const absl::Status&)> on_disconnect;
};

// IngestWriter streams batches into a namespace: each is committed exactly once, in order, whatever
// happens to the connection and the server.
//
// Batches are numbered 1, 2, 3 ... in the order of Write(), over all writers that ever opened under
// the same producer. They are kept in memory until they are acknowledged; after a broken connection
// the writer reconnects (with growing, jittered pauses), asks the server for the last batch it has,
// and sends again only what comes after. A program that crashed does the same: last_batch() tells
// it from which batch on to repeat, and it must cut its records into the same batches as before.
//
// One thread at a time may call Write() and Finish(); the other methods are for any thread.
// Callbacks run one at a time on a thread of the writer's; they must not call Write(), Finish() or
// the destructor. The writer may outlive its Client. Client::CancelAll ends it.
class IngestWriter {
 public:
  // Connects and opens the stream. InvalidArgument and NotFound come at once; while the server
  // cannot be reached it is tried again for `give_up_after`.
  static absl::StatusOr<std::unique_ptr<IngestWriter>> Open(const Client& client,
                                                            IngestOptions options);
  // Drops what is not acknowledged yet: call Finish() first.
  ~IngestWriter();
  IngestWriter(const IngestWriter&) = delete;
  IngestWriter& operator=(const IngestWriter&) = delete;

  // The producer's last committed batch when the writer was opened; 0 when there was none.
  uint64_t last_batch() const;

  // Takes the next batch, copies it and returns its number; the caller's memory is free again.
  // Waits while more batches or bytes are unacknowledged than the server allows.
  //
  // InvalidArgument: a tensor's bytes do not fit its shape, or vectors, offsets, metadata or expire
  // times are not one for each id. ResourceExhausted: the batch is too large. After either the
  // writer goes on: the number is not spent. Any other error is the one the writer ended with, as
  // Finish() returns it.
  absl::StatusOr<uint64_t> Write(const RecordsView& records);

  // Sends what is left and waits until all is acknowledged. No Write() after it.
  //
  // An error is what the stream ended with; its message names the last batch that is committed for
  // certain. When the server refused a batch (InvalidArgument), it is the one after: mend it. With
  // Unavailable wait for the server. Then open again under the same producer.
  absl::Status Finish();

  // Every batch up to this number is committed for certain.
  uint64_t committed() const;

 private:
  class Impl;
  explicit IngestWriter(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace varve::client

#endif  // VARVE_CLIENTS_CPP_VARVE_INGEST_WRITER_H_
