#include "server/rpc/search.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/rpc/record_codec.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/tensor_codec.h"

namespace varve::server {
namespace {

constexpr uint64_t kBatchResultsMax = 4'000'000;
constexpr size_t kGetIdsMax = 10'000;
constexpr absl::Duration kCommitWaitMax = absl::Minutes(1);

engine::SearchQuery ToQuery(const v1::SearchOptions& options, const TensorView& queries) {
  engine::SearchQuery query{.field = options.field(),
                            .queries = queries,
                            .k = options.k(),
                            .exact = options.exact(),
                            .min_sequence = options.min_sequence(),
                            .include_vectors = options.include_vectors()};
  if (options.has_ef_search()) query.ef_search = options.ef_search();
  return query;
}

// Says no before the work is done, when the vectors alone would pass the message limit.
absl::Status CheckVectorBytes(const ServiceContext& context, const engine::Namespace& searched,
                              uint64_t records) {
  uint64_t present_sequence = 0;
  records = std::min(records, searched.Count(&present_sequence));
  uint64_t bytes = 0;
  for (const engine::FieldSchema& field : searched.schema().fields) {
    bytes += records * field.dimension * SizeOf(field.element_type);
  }
  if (bytes <= context.max_message_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      StrCat("the vectors of ", records, " records are ", bytes, " bytes, an answer is at most ",
             context.max_message_bytes, "; ask for less at a time, or without vectors"));
}

void EncodeHits(const engine::SearchResult& result, bool include_vectors,
                v1::SearchResponse* response) {
  response->set_sequence(result.sequence);
  const engine::RecordList& records = result.records;
  const size_t row_bytes = records.dimension * SizeOf(records.dtype);
  for (size_t i = 0; i < result.distances.size(); ++i) {
    v1::Hit* hit = response->add_hits();
    EncodeId(records.ids, i, hit->mutable_id());
    hit->set_distance(result.distances[i]);
    if (!include_vectors) continue;
    EncodeMatrix(records.dtype, 1, records.dimension,
                 records.vectors.substr(i * row_bytes, row_bytes),
                 hit->add_fields()->mutable_dense());
  }
}

}  // namespace

absl::Status Search(const ServiceContext& context, const CallControl& control,
                    const v1::SearchRequest& request, v1::SearchResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto searched, context.engine->FindNamespace(request.namespace_()));
  VARVE_ASSIGN_OR_RETURN(const TensorView vector, DecodeVector(request.query(), "query"));
  const engine::SearchQuery query = ToQuery(request.options(), vector);
  if (query.include_vectors) {
    VARVE_RETURN_IF_ERROR(CheckVectorBytes(context, *searched, query.k));
  }
  VARVE_ASSIGN_OR_RETURN(const engine::SearchResult result, searched->Search(query, control));
  EncodeHits(result, query.include_vectors, response);
  return absl::OkStatus();
}

absl::Status SearchBatch(const ServiceContext& context, const CallControl& control,
                         const v1::SearchBatchRequest& request, v1::SearchBatchResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto searched, context.engine->FindNamespace(request.namespace_()));
  VARVE_ASSIGN_OR_RETURN(const TensorView queries, DecodeMatrix(request.queries(), "queries"));
  if (request.options().include_vectors()) {
    return BadField("options.include_vectors",
                    "must not be set for a batch: get the vectors by id, or search one by one");
  }
  const engine::SearchQuery query = ToQuery(request.options(), queries);
  if (queries.rows * query.k > kBatchResultsMax) {
    return absl::ResourceExhaustedError(StrCat(queries.rows, " queries of ", query.k,
                                               " results each are more than ", kBatchResultsMax,
                                               " results; ask for less at a time"));
  }
  VARVE_ASSIGN_OR_RETURN(engine::SearchResult result, searched->Search(query, control));
  response->set_sequence(result.sequence);
  response->mutable_counts()->Add(result.counts.begin(), result.counts.end());
  response->mutable_distances()->Add(result.distances.begin(), result.distances.end());
  EncodeIds(std::move(result.records.ids), response->mutable_ids());
  return absl::OkStatus();
}

absl::Status Get(const ServiceContext& context, const CallControl&, const v1::GetRequest& request,
                 v1::GetResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto read, context.engine->FindNamespace(request.namespace_()));
  DecodedIds ids;
  VARVE_RETURN_IF_ERROR(ids.Decode(request.ids(), "ids"));
  const size_t wanted = ids.view().size();
  if (wanted > kGetIdsMax) {
    return BadField("ids", StrCat("must be at most ", kGetIdsMax, ", are ", wanted));
  }
  if (request.include_vectors()) VARVE_RETURN_IF_ERROR(CheckVectorBytes(context, *read, wanted));
  engine::IdList missing;
  VARVE_ASSIGN_OR_RETURN(engine::RecordList records,
                         read->Get(ids.view(), request.include_vectors(), &missing));
  EncodeRecords(std::move(records), request.include_vectors(), response->mutable_records());
  EncodeIds(std::move(missing), response->mutable_missing());
  return absl::OkStatus();
}

absl::Status Count(const ServiceContext& context, const CallControl&,
                   const v1::CountRequest& request, v1::CountResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto counted, context.engine->FindNamespace(request.namespace_()));
  uint64_t sequence = 0;
  response->set_count(counted->Count(&sequence));
  response->set_sequence(sequence);
  return absl::OkStatus();
}

CommitWait::CommitWait(const CallControl& control)
    : give_up_(std::min(control.deadline(), absl::Now() + kCommitWaitMax)) {}

absl::StatusOr<bool> CommitWait::Reached(const ServiceContext& context, const std::string& name,
                                         uint64_t min_sequence) const {
  if (min_sequence == 0) return true;
  VARVE_ASSIGN_OR_RETURN(const auto found, context.engine->FindNamespace(name));
  const uint64_t sequence = found->sequence();
  if (sequence >= min_sequence) return true;
  if (context.calls->draining()) {
    return absl::UnavailableError("the server is shutting down; retry elsewhere or later");
  }
  if (absl::Now() + kPollInterval < give_up_) return false;
  return absl::DeadlineExceededError(StrCat("namespace \"", name,
                                            "\" has not reached min_sequence ", min_sequence,
                                            " in time: its last commit is ", sequence));
}

}  // namespace varve::server
