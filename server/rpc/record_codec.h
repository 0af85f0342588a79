#ifndef VARVE_SERVER_RPC_RECORD_CODEC_H_
#define VARVE_SERVER_RPC_RECORD_CODEC_H_

#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/engine/records.h"
#include "server/rpc/metadata_codec.h"
#include "varve/v1/record.pb.h"

namespace varve::server {

// The ids of a message as the engine takes them. Points into the message, which must stay alive and
// as it is.
class DecodedIds {
 public:
  // InvalidArgument when the list holds neither numbers nor texts.
  absl::Status Decode(const v1::Ids& ids, std::string_view field);
  // Valid for as long as this object stays where it is.
  engine::IdsView view() const;

 private:
  engine::IdType type_ = engine::IdType::kUndecided;
  absl::Span<const uint64_t> numbers_;
  std::vector<std::string_view> texts_;
};

// A batch of records as the engine takes it; lives as DecodedIds does.
class DecodedRecords {
 public:
  // InvalidArgument when the parts do not make a batch. Whether they fit the namespace is for the engine
  // to say.
  absl::Status Decode(const v1::RecordBatch& batch);
  engine::RecordsView view() const;

 private:
  DecodedIds ids_;
  std::vector<engine::FieldVectorsView> fields_;
  DecodedMetadata metadata_;
  std::vector<int64_t> expires_at_;
};

void EncodeIds(engine::IdList ids, v1::Ids* out);
// Position `i` of `ids`.
void EncodeId(const engine::IdList& ids, size_t i, v1::Id* out);
// DataLoss: stored metadata is damaged.
absl::Status EncodeRecords(engine::RecordList records, v1::RecordBatch* out);
// The vectors of record `i`.
void EncodeRecordVectors(const engine::RecordList& records, size_t i,
                         google::protobuf::RepeatedPtrField<v1::FieldVectors>* out);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_RECORD_CODEC_H_
