#ifndef VARVE_SERVER_RPC_METADATA_CODEC_H_
#define VARVE_SERVER_RPC_METADATA_CODEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/timestamp.pb.h"
#include "metadata/attributes.h"
#include "metadata/filter.h"
#include "server/engine/records.h"
#include "varve/v1/filter.pb.h"
#include "varve/v1/metadata.pb.h"
#include "varve/v1/record.pb.h"

namespace varve::server {

// A batch's metadata, per record and by column, as the engine takes it. The message must stay alive.
class DecodedMetadata {
 public:
  // InvalidArgument when a column does not fit the records; what is wrong with a single record's
  // metadata is listed in faults().
  absl::Status Decode(const v1::RecordBatch& batch, size_t records);
  // Encoded, one for each record; empty when there is no metadata.
  absl::Span<const std::string_view> attributes() const { return attributes_; }
  absl::Span<const engine::RowError> faults() const { return faults_; }

 private:
  std::string bytes_;
  std::vector<std::string_view> attributes_;
  std::vector<engine::RowError> faults_;
};

// Microseconds since the Unix epoch. InvalidArgument names `field`.
absl::StatusOr<int64_t> DecodeTimestamp(const google::protobuf::Timestamp& time,
                                        std::string_view field);
void EncodeTimestamp(int64_t micros, google::protobuf::Timestamp* out);

void EncodeValue(const metadata::ValueView& value, v1::Value* out);
// Objects for paths with dots. DataLoss: the bytes are damaged.
absl::Status EncodeMetadata(std::string_view encoded, v1::Metadata* out);

absl::StatusOr<metadata::MergePatch> DecodePatch(const v1::Metadata& patch, std::string_view field);

// Nullopt when the filter is not set. InvalidArgument names `field`, and in the text form the column.
absl::StatusOr<std::optional<metadata::Filter>> DecodeFilter(const v1::Filter& filter,
                                                             std::string_view field);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_METADATA_CODEC_H_
