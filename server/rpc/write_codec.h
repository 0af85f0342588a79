#ifndef VARVE_SERVER_RPC_WRITE_CODEC_H_
#define VARVE_SERVER_RPC_WRITE_CODEC_H_

#include "absl/status/statusor.h"
#include "server/engine/records.h"
#include "varve/v1/ingest_service.pb.h"

namespace varve::server {

// The words of IngestService that its calls share. InvalidArgument: an enum value this server does
// not know.

// Whether an acknowledgement must wait for the disk.
absl::StatusOr<bool> DecodeSynced(v1::Durability durability);
v1::Durability EncodeSynced(bool synced);
absl::StatusOr<engine::OnError> DecodeOnError(v1::OnError on_error);

// Fills the parts that IngestAck and UpsertResponse have in common.
template <typename Response>
void EncodeWriteResult(const engine::WriteResult& result, bool synced, Response* out) {
  out->set_sequence(result.sequence);
  out->set_durability(EncodeSynced(synced));
  out->set_records_written(result.records_written);
  out->mutable_superseded_rows()->Add(result.superseded_rows.begin(), result.superseded_rows.end());
  for (const engine::RowError& error : result.row_errors) {
    v1::RowError* added = out->add_row_errors();
    added->set_row(error.row);
    added->set_message(error.message);
  }
}

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_WRITE_CODEC_H_
