#include "server/rpc/search.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "metadata/filter.h"
#include "server/log.h"
#include "server/rpc/line_limit.h"
#include "server/rpc/metadata_codec.h"
#include "server/rpc/namespace_limits.h"
#include "server/rpc/record_codec.h"
#include "server/rpc/status_mapping.h"
#include "server/rpc/tensor_codec.h"

namespace varve::server {
namespace {

constexpr uint64_t kBatchResultsMax = 4'000'000;
constexpr size_t kGetIdsMax = 10'000;
constexpr size_t kExamplesMax = 10'000;
constexpr absl::Duration kCommitWaitMax = absl::Minutes(1);

engine::RecordMask Mask(const ServiceContext& context, bool vectors, bool metadata,
                        const google::protobuf::RepeatedPtrField<std::string>& paths) {
  return {.vectors = vectors,
          .metadata = metadata,
          .paths = {paths.begin(), paths.end()},
          .bytes_max = context.max_message_bytes};
}

absl::Status CheckLimit(std::string_view option, uint64_t asked, std::string_view whose,
                        uint64_t most, std::string_view limit) {
  if (asked <= most) return absl::OkStatus();
  return absl::ResourceExhaustedError(StrCat("options.", option, ": this ", whose, " takes up to ",
                                             most, " (", limit, "), asked are ", asked));
}

// The server's own limits and the namespace's, below those of every server.
absl::Status CheckLimits(const RequestLimits& server, const engine::Namespace& searched,
                         const v1::SearchOptions& options) {
  const engine::NamespaceLimits own = searched.schema()->limits;
  const uint64_t k = options.k(), ef = options.ef_search();
  VARVE_RETURN_IF_ERROR(CheckLimit("k", k, "server", server.k, "--max-k"));
  VARVE_RETURN_IF_ERROR(CheckLimit("ef_search", ef, "server", server.ef_search, "--max-ef"));
  VARVE_RETURN_IF_ERROR(CheckLimit("k", k, "namespace", own.k.value_or(k), "max_k"));
  return CheckLimit("ef_search", ef, "namespace", own.ef_search.value_or(ef), "max_ef_search");
}

absl::StatusOr<engine::SearchQuery> ToQuery(const ServiceContext& context,
                                            const engine::Namespace& searched,
                                            const v1::SearchOptions& options,
                                            const TensorView& queries) {
  engine::SearchQuery query{.field = options.field(),
                            .queries = queries,
                            .k = options.k(),
                            .exact = options.exact(),
                            .min_sequence = options.min_sequence(),
                            .include = Mask(context, options.include_vectors(),
                                            options.include_metadata(), options.metadata_paths()),
                            .offset = options.offset(),
                            .group_by = options.group_by(),
                            .group_size = std::max<uint32_t>(options.group_size(), 1)};
  // InvalidArgument, for what no server does, comes from the engine.
  if (options.k() <= engine::kResultsMax && options.ef_search() <= engine::kEfMax) {
    VARVE_RETURN_IF_ERROR(CheckLimits(*context.limits, searched, options));
  }
  if (options.has_ef_search()) query.ef_search = options.ef_search();
  if (options.has_max_distance()) query.max_distance = options.max_distance();
  if (options.has_diversity()) {
    query.diversity = {.weight = options.diversity().weight(),
                       .candidates = options.diversity().candidates()};
  }
  VARVE_ASSIGN_OR_RETURN(query.filter, DecodeFilter(options.filter(), "options.filter"));
  return query;
}

// What a log line shows of a filter.
constexpr size_t kFilterBytesMax = 256;

PlanLabel LabelOf(index::SearchPlan plan) {
  switch (plan) {
    case index::SearchPlan::kScan:
      return PlanLabel::kScan;
    case index::SearchPlan::kFilteredWalk:
      return PlanLabel::kFilteredWalk;
    case index::SearchPlan::kWalk:
      return PlanLabel::kWalk;
  }
  return PlanLabel::kScan;
}

// The plan by which most rows were searched.
PlanLabel LabelOf(const engine::SearchQuery& query, const engine::SearchResult& result) {
  if (query.exact) return PlanLabel::kExact;
  std::array<uint64_t, kPlanLabels.size()> rows = {};
  rows[static_cast<size_t>(PlanLabel::kScan)] = 1;  // nothing to search is nothing to walk
  for (const engine::SegmentExplanation& segment : result.explanation) {
    rows[static_cast<size_t>(LabelOf(segment.report.search.plan))] += segment.report.rows;
  }
  return static_cast<PlanLabel>(std::max_element(rows.begin(), rows.end()) - rows.begin());
}

// `result` is null for a search that failed.
void LogSlowQuery(const engine::Namespace& searched, const engine::SearchQuery& query,
                  const absl::Status& status, const engine::SearchResult* result,
                  absl::Duration duration) {
  static LineLimit& limit = *new LineLimit;
  int64_t suppressed = 0;
  if (!limit.Pass(&suppressed)) return;
  const auto schema = searched.schema();
  uint32_t ef = query.ef_search.value_or(0);
  for (const engine::FieldSchema& field : schema->fields) {
    if (ef == 0 && field.name == query.field) ef = field.index.ef_search;
  }
  std::string filter = query.filter.has_value() ? metadata::ToString(*query.filter) : "";
  if (filter.size() > kFilterBytesMax) filter = filter.substr(0, kFilterBytesMax) + "...";
  engine::SegmentExplanation sum;
  if (result != nullptr) {
    for (const engine::SegmentExplanation& segment : result->explanation) {
      sum.matches += segment.matches;
      sum.report.rows += segment.report.rows;
      sum.report.search.distances += segment.report.search.distances;
      sum.report.search.hops += segment.report.search.hops;
      sum.report.search.dead_rows += segment.report.search.dead_rows;
      sum.report.search.rescored += segment.report.search.rescored;
    }
  }
  const std::string code = absl::StatusCodeToString(status.code());
  Log(LogLevel::kWarning, "slow query",
      {{"namespace", schema->name},
       {"field", query.field},
       {"seconds", absl::ToDoubleSeconds(duration)},
       {"code", code},
       {"queries", query.queries.rows},
       {"k", query.k},
       {"ef", ef},
       {"filter", filter},
       {"plan", result == nullptr ? "" : kPlanLabels[static_cast<size_t>(LabelOf(query, *result))]},
       {"segments", result == nullptr ? 0 : result->explanation.size()},
       {"rows", sum.report.rows},
       {"matches", sum.matches},
       {"distances", sum.report.search.distances},
       {"hops", sum.report.search.hops},
       {"dead_rows", sum.report.search.dead_rows},
       {"rescored_rows", sum.report.search.rescored},
       {"filter_seconds", result == nullptr ? 0 : absl::ToDoubleSeconds(result->filter_time)},
       {"suppressed", suppressed}});
}

// Searches, counts it, and logs it if it was slow.
absl::StatusOr<engine::SearchResult> RunSearch(const ServiceContext& context,
                                               const CallControl& control,
                                               const engine::Namespace& searched,
                                               const engine::SearchQuery& query, bool batch) {
  VARVE_ASSIGN_OR_RETURN(const auto share, BeginSearch(searched));
  SearchMetrics& metrics = context.metrics->searches;
  const absl::Time begin = absl::Now();
  metrics.in_flight.Begin();
  absl::StatusOr<engine::SearchResult> result = searched.Search(query, control);
  metrics.in_flight.End();
  const absl::Duration duration = absl::Now() - begin;
  if (result.ok()) {
    SearchMetrics::OfPlan& of_plan = metrics[LabelOf(query, *result)];
    (batch ? of_plan.batch : of_plan.single).Observe(duration);
    of_plan.queries.Add(batch ? query.queries.rows : 1);
  }
  if (duration > context.slow_query) {
    metrics.slow.Add();
    LogSlowQuery(searched, query, result.status(), result.ok() ? &*result : nullptr, duration);
  }
  return result;
}

v1::SearchPlan EncodePlan(index::SearchPlan plan) {
  switch (plan) {
    case index::SearchPlan::kScan:
      return v1::SEARCH_PLAN_SCAN;
    case index::SearchPlan::kFilteredWalk:
      return v1::SEARCH_PLAN_FILTERED_WALK;
    case index::SearchPlan::kWalk:
      return v1::SEARCH_PLAN_WALK;
  }
  return v1::SEARCH_PLAN_UNSPECIFIED;
}

void EncodeDuration(absl::Duration duration, google::protobuf::Duration* out) {
  const int64_t nanos = absl::ToInt64Nanoseconds(duration);
  out->set_seconds(nanos / 1'000'000'000);
  out->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
}

void EncodeExplanation(const engine::SearchResult& result, v1::Explanation* out) {
  EncodeDuration(result.filter_time, out->mutable_filter_time());
  for (const engine::SegmentExplanation& segment : result.explanation) {
    const index::SegmentReport& report = segment.report;
    const double rows = static_cast<double>(std::max<uint64_t>(report.rows, 1));
    v1::SegmentExplanation* added = out->add_segments();
    added->set_segment_id(report.segment_id);
    added->set_rows(report.rows);
    added->set_plan(EncodePlan(report.search.plan));
    added->set_estimated_selectivity(segment.estimated_matches / rows);
    added->set_selectivity(static_cast<double>(segment.matches) / rows);
    added->set_distances(report.search.distances);
    added->set_hops(report.search.hops);
    added->set_dead_rows(report.search.dead_rows);
    added->set_rescored_rows(report.search.rescored);
    added->set_gave_up(report.search.gave_up);
    EncodeDuration(report.time, added->mutable_time());
  }
}

// Says no before the work is done, when the vectors alone would pass the message limit.
absl::Status CheckVectorBytes(const ServiceContext& context, const engine::Namespace& searched,
                              uint64_t records) {
  uint64_t record_bytes = 0;
  const auto schema = searched.schema();
  for (const engine::FieldSchema& field : schema->fields) {
    record_bytes += field.dimension * SizeOf(field.element_type);
  }
  // Only now, for counting may take long.
  uint64_t present_sequence = 0;
  if (records * record_bytes > context.max_message_bytes) {
    records = std::min(records, searched.Count(nullptr, &present_sequence));
  }
  const uint64_t bytes = records * record_bytes;
  if (bytes <= context.max_message_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      StrCat("the vectors of ", records, " records are ", bytes, " bytes, an answer is at most ",
             context.max_message_bytes, "; ask for less at a time, or without vectors"));
}

absl::Status EncodeHits(const engine::SearchResult& result, v1::SearchResponse* response) {
  const engine::RecordList& records = result.records;
  for (size_t i = 0; i < result.distances.size(); ++i) {
    v1::Hit* hit = response->add_hits();
    EncodeId(records.ids, i, hit->mutable_id());
    hit->set_distance(result.distances[i]);
    EncodeRecordVectors(records, i, hit->mutable_fields());
    if (!result.groups.empty()) EncodeValue(result.groups[i].view(), hit->mutable_group());
    if (records.attributes.empty()) continue;
    VARVE_RETURN_IF_ERROR(EncodeMetadata(records.attributes[i], hit->mutable_metadata()));
  }
  return absl::OkStatus();
}

// The query's tensor: one vector, or several of a field that has several for each record.
absl::StatusOr<TensorView> DecodeQuery(const v1::Tensor& tensor) {
  return tensor.shape_size() == 2 ? DecodeMatrix(tensor, "query") : DecodeVector(tensor, "query");
}

// OK when a tensor of several vectors is for a field of several.
absl::Status CheckQueryShape(const engine::Namespace& searched, const v1::SearchRequest& request) {
  if (request.query().shape_size() != 2) return absl::OkStatus();
  const auto schema = searched.schema();
  for (const engine::FieldSchema& field : schema->fields) {
    if (field.name != request.options().field() || field.multi_vector) continue;
    return BadField("query.shape",
                    StrCat("must be [", field.dimension,
                           "]: the field has one vector for each record; for several queries use "
                           "SearchBatch"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Search(const ServiceContext& context, const CallControl& control,
                    const v1::SearchRequest& request, v1::SearchResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto searched, context.FindNamespace(request.namespace_()));
  VARVE_RETURN_IF_ERROR(CheckRequestBytes(*searched, request.ByteSizeLong()));
  TensorView vectors;
  DecodedIds positive, negative;
  if (request.has_examples()) {
    if (request.has_query()) return BadField("examples", "must not be set beside a query");
    VARVE_RETURN_IF_ERROR(positive.Decode(request.examples().positive(), "examples.positive"));
    if (request.examples().has_negative()) {
      VARVE_RETURN_IF_ERROR(negative.Decode(request.examples().negative(), "examples.negative"));
    }
    if (positive.view().size() + negative.view().size() > kExamplesMax) {
      return BadField("examples", StrCat("must be at most ", kExamplesMax, ", are ",
                                         positive.view().size() + negative.view().size()));
    }
  } else {
    VARVE_ASSIGN_OR_RETURN(vectors, DecodeQuery(request.query()));
    VARVE_RETURN_IF_ERROR(CheckQueryShape(*searched, request));
  }
  VARVE_ASSIGN_OR_RETURN(engine::SearchQuery query,
                         ToQuery(context, *searched, request.options(), vectors));
  query.positive = positive.view();
  query.negative = negative.view();
  if (query.include.vectors) {
    VARVE_RETURN_IF_ERROR(CheckVectorBytes(context, *searched, query.k));
  }
  VARVE_ASSIGN_OR_RETURN(const engine::SearchResult result,
                         RunSearch(context, control, *searched, query, /*batch=*/false));
  response->set_sequence(result.sequence);
  if (request.options().explain()) EncodeExplanation(result, response->mutable_explanation());
  return EncodeHits(result, response);
}

absl::Status SearchBatch(const ServiceContext& context, const CallControl& control,
                         const v1::SearchBatchRequest& request, v1::SearchBatchResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto searched, context.FindNamespace(request.namespace_()));
  VARVE_RETURN_IF_ERROR(CheckRequestBytes(*searched, request.ByteSizeLong()));
  VARVE_ASSIGN_OR_RETURN(const TensorView queries, DecodeMatrix(request.queries(), "queries"));
  const v1::SearchOptions& options = request.options();
  const auto refuse = [](std::string_view option, bool set) {
    if (!set) return absl::OkStatus();
    return BadField(StrCat("options.", option),
                    "must not be set for a batch: get records by id, or search one by one");
  };
  VARVE_RETURN_IF_ERROR(refuse("include_vectors", options.include_vectors()));
  VARVE_RETURN_IF_ERROR(refuse("include_metadata", options.include_metadata()));
  VARVE_RETURN_IF_ERROR(refuse("group_by", !options.group_by().empty()));
  VARVE_RETURN_IF_ERROR(refuse("diversity", options.has_diversity()));
  const auto schema = searched->schema();
  for (const engine::FieldSchema& field : schema->fields) {
    if (field.name != options.field() || !field.multi_vector) continue;
    return BadField("options.field",
                    StrCat("field \"", field.name,
                           "\" has several vectors for each record: search one by one"));
  }
  VARVE_ASSIGN_OR_RETURN(const engine::SearchQuery query,
                         ToQuery(context, *searched, options, queries));
  if (queries.rows * query.k > kBatchResultsMax) {
    return absl::ResourceExhaustedError(StrCat(queries.rows, " queries of ", query.k,
                                               " results each are more than ", kBatchResultsMax,
                                               " results; ask for less at a time"));
  }
  VARVE_ASSIGN_OR_RETURN(engine::SearchResult result,
                         RunSearch(context, control, *searched, query, /*batch=*/true));
  response->set_sequence(result.sequence);
  if (options.explain()) EncodeExplanation(result, response->mutable_explanation());
  response->mutable_counts()->Add(result.counts.begin(), result.counts.end());
  response->mutable_distances()->Add(result.distances.begin(), result.distances.end());
  EncodeIds(std::move(result.records.ids), response->mutable_ids());
  return absl::OkStatus();
}

absl::Status Get(const ServiceContext& context, const CallControl&, const v1::GetRequest& request,
                 v1::GetResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto read, context.FindNamespace(request.namespace_()));
  DecodedIds ids;
  VARVE_RETURN_IF_ERROR(ids.Decode(request.ids(), "ids"));
  const size_t wanted = ids.view().size();
  if (wanted > kGetIdsMax) {
    return BadField("ids", StrCat("must be at most ", kGetIdsMax, ", are ", wanted));
  }
  if (request.include_vectors()) VARVE_RETURN_IF_ERROR(CheckVectorBytes(context, *read, wanted));
  engine::IdList missing;
  VARVE_ASSIGN_OR_RETURN(engine::RecordList records,
                         read->Get(ids.view(),
                                   Mask(context, request.include_vectors(),
                                        request.include_metadata(), request.metadata_paths()),
                                   &missing));
  VARVE_RETURN_IF_ERROR(EncodeRecords(std::move(records), response->mutable_records()));
  EncodeIds(std::move(missing), response->mutable_missing());
  return absl::OkStatus();
}

absl::Status Count(const ServiceContext& context, const CallControl&,
                   const v1::CountRequest& request, v1::CountResponse* response) {
  VARVE_ASSIGN_OR_RETURN(const auto counted, context.FindNamespace(request.namespace_()));
  VARVE_ASSIGN_OR_RETURN(const auto filter, DecodeFilter(request.filter(), "filter"));
  uint64_t sequence = 0;
  response->set_count(counted->Count(filter.has_value() ? &*filter : nullptr, &sequence));
  response->set_sequence(sequence);
  return absl::OkStatus();
}

CommitWait::CommitWait(const CallControl& control)
    : give_up_(std::min(control.deadline(), absl::Now() + kCommitWaitMax)) {}

absl::StatusOr<bool> CommitWait::Reached(const ServiceContext& context, const std::string& name,
                                         uint64_t min_sequence) const {
  if (min_sequence == 0) return true;
  VARVE_ASSIGN_OR_RETURN(const auto found, context.FindNamespace(name));
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
