#ifndef VARVE_CLIENTS_CPP_VARVE_INTERNAL_WIRE_H_
#define VARVE_CLIENTS_CPP_VARVE_INTERNAL_WIRE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "clients/cpp/varve/client.h"
#include "clients/cpp/varve/metadata.h"
#include "clients/cpp/varve/namespace.h"
#include "clients/cpp/varve/records.h"
#include "varve/v1/admin_service.pb.h"
#include "varve/v1/ingest_service.pb.h"
#include "varve/v1/metadata.pb.h"
#include "varve/v1/namespace_service.pb.h"
#include "varve/v1/query_service.pb.h"
#include "varve/v1/record.pb.h"
#include "varve/v1/tensor.pb.h"

// The library's own types to protocol messages and back: the only table of it. What comes from the
// wire is checked; Internal says what the server got wrong.
namespace varve::client::internal {

v1::Dtype ToWire(DType dtype);
v1::Durability ToWire(Durability durability);
v1::OnError ToWire(OnError on_error);
void ToWire(const TensorView& tensor, v1::Tensor* out);
void ToWire(const IdsView& ids, v1::Ids* out);
void ToWire(const Value& value, v1::Value* out);
void ToWire(const Metadata& metadata, v1::Metadata* out);
void ToWire(const IndexOptions& index, v1::IndexOptions* out);
void ToWire(const NamespaceLimits& limits, v1::NamespaceLimits* out);
void ToWire(const Namespace& spec, v1::Namespace* out);
void ToWire(const SearchOptions& options, v1::SearchOptions* out);
// InvalidArgument: a tensor's bytes do not fit its shape, or its rows, the offsets, the metadata or
// the expire times are not one for each id.
absl::Status ToWire(const RecordsView& records, v1::RecordBatch* out);

Durability FromWire(v1::Durability durability);
absl::StatusOr<DType> FromWire(v1::Dtype dtype);
Id FromWire(v1::Id id);
Ids FromWire(v1::Ids ids);
Value FromWire(v1::Value value);
Metadata FromWire(v1::Metadata metadata);
absl::StatusOr<Namespace> FromWire(const v1::Namespace& in);
absl::StatusOr<Records> FromWire(v1::RecordBatch batch);
absl::StatusOr<Hit> FromWire(v1::Hit hit);
Explanation FromWire(const v1::Explanation& explanation);
std::vector<RowError> FromWire(const google::protobuf::RepeatedPtrField<v1::RowError>& errors);
Segment FromWire(const v1::Segment& segment);
IndexingProgress FromWire(const v1::WatchIndexingResponse& progress);
Snapshot FromWire(const v1::Snapshot& snapshot);
ServerStats FromWire(const v1::StatsResponse& stats);

}  // namespace varve::client::internal

#endif  // VARVE_CLIENTS_CPP_VARVE_INTERNAL_WIRE_H_
