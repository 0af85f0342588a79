#include "clients/cpp/varve/client.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/mutex.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "base/thread_pool.h"
#include "clients/cpp/varve/internal/channel.h"
#include "clients/cpp/varve/internal/credentials.h"
#include "clients/cpp/varve/internal/cutting.h"
#include "clients/cpp/varve/internal/wire.h"

namespace varve::client {
namespace {

using internal::CallContext;
using internal::Channel;
using internal::FromWire;
using internal::ToWire;

constexpr size_t kGetWholeRecordsMax = 1'000;
// Half of an UpdateMetadata is for ids, the longest there may be, half for patches.
constexpr size_t kUpdateIdsMax = internal::kMessageBytesMax / 2 / (internal::kTextIdBytesMax + 8);
constexpr size_t kPatchBytesMax = internal::kMessageBytesMax / 2;
constexpr uint32_t kNamespacesPerPage = 1'000;
// Parts of one SearchBatch that are on their way at a time: enough to keep the server busy while
// answers travel.
constexpr size_t kSearchesInFlight = 3;

// Makes a unary call: `method` of `stub`.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(Channel& channel, const CallOptions& options, Stub& stub,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request) {
  CallContext context(&channel, channel.Deadline(options));
  Response response;
  const grpc::Status status = (stub.*method)(context.get(), request, &response);
  if (!status.ok()) return channel.ToAbsl(status);
  return response;
}

// What one call under way needs; ends when its answer is there.
template <typename Request, typename Response>
struct AsyncCall {
  AsyncCall(Channel* channel, absl::Time deadline, Request asked)
      : context(channel, deadline), request(std::move(asked)) {}

  CallContext context;
  const Request request;
  Response response;
};

// Begins a unary call: `start` is the stub's method, `read` makes the result of the response. `done` gets
// that, or the error, once nothing is left of the call; the client waits for it before it ends.
template <typename Response, typename Request, typename Start, typename Read, typename Result>
void CallAsync(Channel* channel, const CallOptions& options, absl::StatusOr<Request> request,
               Start start, Read read, Done<Result> done) {
  if (!request.ok()) return done(request.status());
  auto call = std::make_shared<AsyncCall<Request, Response>>(channel, channel->Deadline(options),
                                                             *std::move(request));
  auto* const under_way = call.get();
  channel->BeginAsync();
  start(under_way->context.get(), &under_way->request, &under_way->response,
        [channel, call = std::move(call), read,
         done = std::move(done)](const grpc::Status& status) mutable {
          absl::StatusOr<Result> result =
              status.ok() ? read(std::move(call->response)) : channel->ToAbsl(status);
          call.reset();
          done(std::move(result));
          channel->EndAsync();
        });
}

absl::Status CheckTarget(std::string_view target) {
  const size_t colon = target.rfind(':');
  if (colon != 0 && colon != std::string_view::npos) {
    uint16_t port = 0;
    const char* const end = target.data() + target.size();
    const auto [stop, error] = std::from_chars(target.data() + colon + 1, end, port);
    if (error == std::errc() && stop == end && port != 0) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      StrCat("server must be HOST:PORT with a port of 1 to 65535, is '", target, "'"));
}

// Internal: the lists are of different kinds.
absl::Status Append(Ids from, Ids* to) {
  if (Size(from) == 0) return absl::OkStatus();
  if (Size(*to) == 0) {
    *to = std::move(from);
    return absl::OkStatus();
  }
  return std::visit(
      [](auto& source, auto& target) -> absl::Status {
        if constexpr (std::is_same_v<decltype(source), decltype(target)>) {
          target.insert(target.end(), std::make_move_iterator(source.begin()),
                        std::make_move_iterator(source.end()));
          return absl::OkStatus();
        } else {
          return absl::InternalError("the server sent numeric and text ids for one namespace");
        }
      },
      from, *to);
}

absl::StatusOr<SearchBatchResult> CheckedResult(v1::SearchBatchResponse response, size_t queries) {
  SearchBatchResult result{.counts = {response.counts().begin(), response.counts().end()},
                           .ids = FromWire(std::move(*response.mutable_ids())),
                           .distances = {response.distances().begin(), response.distances().end()},
                           .sequence = response.sequence(),
                           .explanation = std::nullopt};
  if (response.has_explanation()) result.explanation = FromWire(response.explanation());
  uint64_t hits = 0;
  for (const uint32_t count : result.counts) hits += count;
  if (result.counts.size() != queries || Size(result.ids) != hits ||
      result.distances.size() != hits) {
    return absl::InternalError(StrCat("the server answered ", queries, " queries with ",
                                      result.counts.size(), " counts (", hits, " results in all), ",
                                      Size(result.ids), " ids and ", result.distances.size(),
                                      " distances"));
  }
  return result;
}

absl::StatusOr<SearchBatchResult> SearchPart(Channel& channel, std::string_view name_space,
                                             const TensorView& queries,
                                             const SearchOptions& options,
                                             const CallOptions& call) {
  v1::SearchBatchRequest request;
  request.set_namespace_(std::string(name_space));
  ToWire(queries, request.mutable_queries());
  ToWire(options, request.mutable_options());
  VARVE_ASSIGN_OR_RETURN(
      v1::SearchBatchResponse response,
      Call(channel, call, channel.query(), &v1::QueryService::Stub::SearchBatch, request));
  return CheckedResult(std::move(response), queries.rows);
}

absl::StatusOr<v1::SearchRequest> SearchRequestOf(std::string_view name_space,
                                                  const TensorView& query,
                                                  const SearchOptions& options) {
  VARVE_RETURN_IF_ERROR(CheckTensor(query));
  if (query.rows == 0) return absl::InvalidArgumentError("the query has no vector");
  v1::SearchRequest request;
  request.set_namespace_(std::string(name_space));
  ToWire(options, request.mutable_options());
  ToWire(query, request.mutable_query());
  if (query.rows == 1) {
    request.mutable_query()->clear_shape();
    request.mutable_query()->add_shape(query.columns);
  }
  return request;
}

absl::StatusOr<SearchResult> SearchResultOf(v1::SearchResponse response) {
  SearchResult result{.hits = {}, .sequence = response.sequence(), .explanation = std::nullopt};
  if (response.has_explanation()) result.explanation = FromWire(response.explanation());
  result.hits.reserve(response.hits_size());
  for (v1::Hit& in : *response.mutable_hits()) {
    VARVE_ASSIGN_OR_RETURN(Hit hit, FromWire(std::move(in)));
    result.hits.push_back(std::move(hit));
  }
  return result;
}

absl::StatusOr<SearchResult> SearchOne(Channel& channel, const CallOptions& call,
                                       const v1::SearchRequest& request) {
  VARVE_ASSIGN_OR_RETURN(
      v1::SearchResponse response,
      Call(channel, call, channel.query(), &v1::QueryService::Stub::Search, request));
  return SearchResultOf(std::move(response));
}

absl::StatusOr<v1::UpsertRequest> UpsertRequestOf(std::string_view name_space,
                                                  const RecordsView& records,
                                                  const WriteOptions& options) {
  v1::UpsertRequest request;
  request.set_namespace_(std::string(name_space));
  VARVE_RETURN_IF_ERROR(ToWire(records, request.mutable_records()));
  request.set_durability(ToWire(options.durability));
  request.set_on_error(ToWire(options.on_error));
  return request;
}

absl::StatusOr<UpsertResult> UpsertResultOf(const v1::UpsertResponse& response) {
  return UpsertResult{
      .sequence = response.sequence(),
      .records_written = response.records_written(),
      .superseded_rows = {response.superseded_rows().begin(), response.superseded_rows().end()},
      .row_errors = FromWire(response.row_errors())};
}

// An empty filter is every record: nobody means that.
absl::StatusOr<v1::DeleteRequest> DeleteByFilter(std::string_view name_space,
                                                 std::string_view filter) {
  if (filter.find_first_not_of(" \t\r\n") == filter.npos) {
    return absl::InvalidArgumentError(
        "the filter of a deletion is empty; to delete all records, delete the namespace");
  }
  v1::DeleteRequest request;
  request.set_namespace_(std::string(name_space));
  request.mutable_filter()->set_text(std::string(filter));
  return request;
}

// Adds as many of `patches` as one message carries, at least one; returns how many.
size_t AddPatches(absl::Span<const Metadata> patches, v1::UpdateMetadataRequest* request) {
  size_t bytes = 0, count = 0;
  while (count < patches.size()) {
    v1::Metadata* const added = request->add_patches();
    ToWire(patches[count], added);
    bytes += added->ByteSizeLong();
    if (count > 0 && bytes > kPatchBytesMax) {
      request->mutable_patches()->RemoveLast();
      break;
    }
    ++count;
  }
  return count;
}

// Puts the parts of a SearchBatch together, in order; the first error if there is one.
absl::StatusOr<SearchBatchResult> Join(std::vector<absl::StatusOr<SearchBatchResult>> parts) {
  SearchBatchResult joined;
  for (size_t i = 0; i < parts.size(); ++i) {
    VARVE_ASSIGN_OR_RETURN(SearchBatchResult part, std::move(parts[i]));
    if (i == 0) joined.explanation = std::move(part.explanation);
    joined.sequence = i == 0 ? part.sequence : std::min(joined.sequence, part.sequence);
    joined.counts.insert(joined.counts.end(), part.counts.begin(), part.counts.end());
    joined.distances.insert(joined.distances.end(), part.distances.begin(), part.distances.end());
    VARVE_RETURN_IF_ERROR(Append(std::move(part.ids), &joined.ids));
  }
  return joined;
}

// Of one field of some records, behind what there is of it of `records_before` others.
absl::Status Append(FieldVectors from, size_t records_before, FieldVectors* to) {
  if (from.field != to->field || from.vectors.columns != to->vectors.columns ||
      from.vectors.dtype != to->vectors.dtype || from.offsets.empty() != to->offsets.empty()) {
    return absl::InternalError("the server sent vectors of different shapes for one field");
  }
  for (size_t i = 1; i < from.offsets.size(); ++i) {
    to->offsets.push_back(to->vectors.rows + from.offsets[i]);
  }
  for (const uint32_t row : from.missing) {
    to->missing.push_back(static_cast<uint32_t>(records_before + row));
  }
  to->vectors.rows += from.vectors.rows;
  to->vectors.bytes += from.vectors.bytes;
  return absl::OkStatus();
}

absl::Status AppendFields(Records from, Records* to) {
  const size_t before = Size(to->ids);
  if (from.fields.size() != to->fields.size()) {
    return absl::InternalError(StrCat("the server sent ", to->fields.size(),
                                      " further vector fields, then ", from.fields.size()));
  }
  for (size_t i = 0; i < from.fields.size(); ++i) {
    VARVE_RETURN_IF_ERROR(Append(std::move(from.fields[i]), before, &to->fields[i]));
  }
  FieldVectors all{.vectors = std::move(to->vectors), .missing = std::move(to->missing)};
  VARVE_RETURN_IF_ERROR(Append(
      {.vectors = std::move(from.vectors), .missing = std::move(from.missing)}, before, &all));
  to->vectors = std::move(all.vectors);
  to->missing = std::move(all.missing);
  return absl::OkStatus();
}

absl::Status Append(Records from, Records* to) {
  if (Size(from.ids) == 0) return absl::OkStatus();
  if (Size(to->ids) == 0) {
    *to = std::move(from);
    return absl::OkStatus();
  }
  const size_t before = Size(to->ids), after = before + Size(from.ids);
  std::move(from.metadata.begin(), from.metadata.end(), std::back_inserter(to->metadata));
  if (!to->expire_times.empty() || !from.expire_times.empty()) {
    to->expire_times.resize(before, absl::InfiniteFuture());
    to->expire_times.insert(to->expire_times.end(), from.expire_times.begin(),
                            from.expire_times.end());
    to->expire_times.resize(after, absl::InfiniteFuture());
  }
  Ids ids = std::move(from.ids);
  VARVE_RETURN_IF_ERROR(AppendFields(std::move(from), to));
  return Append(std::move(ids), &to->ids);
}

// For calls that last as long as the work they wait for.
CallOptions Patient(CallOptions call) {
  if (!call.timeout.has_value()) call.timeout = absl::InfiniteDuration();
  return call;
}

absl::StatusOr<Namespace> Update(Channel& channel, const v1::UpdateNamespaceRequest& request,
                                 const CallOptions& call) {
  VARVE_ASSIGN_OR_RETURN(const v1::UpdateNamespaceResponse response,
                         Call(channel, call, channel.namespaces(),
                              &v1::NamespaceService::Stub::UpdateNamespace, request));
  return FromWire(response.namespace_());
}

}  // namespace

std::string_view SearchPlanName(SearchPlan plan) {
  switch (plan) {
    case SearchPlan::kScan:
      return "scan";
    case SearchPlan::kFilteredWalk:
      return "filtered walk";
    case SearchPlan::kWalk:
      return "walk";
    case SearchPlan::kUnknown:
      break;
  }
  return "unknown";
}

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(std::string_view target,
                                                        const ClientOptions& options) {
  VARVE_RETURN_IF_ERROR(CheckTarget(target));
  VARVE_ASSIGN_OR_RETURN(internal::Credentials credentials, internal::MakeCredentials(options));
  return std::unique_ptr<Client>(
      new Client(std::make_shared<Channel>(std::string(target), options, std::move(credentials))));
}

Client::Client(std::shared_ptr<Channel> channel) : channel_(std::move(channel)) {}

Client::~Client() { channel_->WaitForAsync(); }

absl::StatusOr<Namespace> Client::CreateNamespace(const Namespace& spec, const CallOptions& call) {
  v1::CreateNamespaceRequest request;
  ToWire(spec, request.mutable_namespace_());
  VARVE_ASSIGN_OR_RETURN(const v1::CreateNamespaceResponse response,
                         Call(*channel_, call, channel_->namespaces(),
                              &v1::NamespaceService::Stub::CreateNamespace, request));
  return FromWire(response.namespace_());
}

absl::StatusOr<Namespace> Client::GetNamespace(std::string_view name, const CallOptions& call) {
  v1::GetNamespaceRequest request;
  request.set_name(std::string(name));
  VARVE_ASSIGN_OR_RETURN(const v1::GetNamespaceResponse response,
                         Call(*channel_, call, channel_->namespaces(),
                              &v1::NamespaceService::Stub::GetNamespace, request));
  return FromWire(response.namespace_());
}

absl::StatusOr<std::vector<Namespace>> Client::ListNamespaces(const CallOptions& call) {
  std::vector<Namespace> all;
  v1::ListNamespacesRequest request;
  request.set_page_size(kNamespacesPerPage);
  do {
    VARVE_ASSIGN_OR_RETURN(v1::ListNamespacesResponse page,
                           Call(*channel_, call, channel_->namespaces(),
                                &v1::NamespaceService::Stub::ListNamespaces, request));
    for (const v1::Namespace& in : page.namespaces()) {
      VARVE_ASSIGN_OR_RETURN(Namespace converted, FromWire(in));
      all.push_back(std::move(converted));
    }
    request.set_page_token(std::move(*page.mutable_next_page_token()));
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<Namespace> Client::UpdateNamespace(std::string_view name, const IndexOptions& index,
                                                  std::string_view field, const CallOptions& call) {
  v1::UpdateNamespaceRequest request;
  request.set_name(std::string(name));
  request.set_field(std::string(field));
  ToWire(index, request.mutable_index());
  return Update(*channel_, request, call);
}

absl::StatusOr<Namespace> Client::UpdateLimits(std::string_view name, const NamespaceLimits& limits,
                                               const CallOptions& call) {
  v1::UpdateNamespaceRequest request;
  request.set_name(std::string(name));
  ToWire(limits, request.mutable_limits());
  return Update(*channel_, request, call);
}

absl::Status Client::DeleteNamespace(std::string_view name, const CallOptions& call) {
  v1::DeleteNamespaceRequest request;
  request.set_name(std::string(name));
  return Call(*channel_, call, channel_->namespaces(), &v1::NamespaceService::Stub::DeleteNamespace,
              request)
      .status();
}

absl::StatusOr<UpsertResult> Client::Upsert(std::string_view name_space, const RecordsView& records,
                                            const WriteOptions& options, const CallOptions& call) {
  VARVE_ASSIGN_OR_RETURN(const v1::UpsertRequest request,
                         UpsertRequestOf(name_space, records, options));
  VARVE_ASSIGN_OR_RETURN(
      const v1::UpsertResponse response,
      Call(*channel_, call, channel_->ingest(), &v1::IngestService::Stub::Upsert, request));
  return UpsertResultOf(response);
}

void Client::UpsertAsync(std::string_view name_space, const RecordsView& records,
                         Done<UpsertResult> done, const WriteOptions& options,
                         const CallOptions& call) {
  CallAsync<v1::UpsertResponse>(
      channel_.get(), call, UpsertRequestOf(name_space, records, options),
      [stub = channel_->ingest().async()](auto... parts) { stub->Upsert(std::move(parts)...); },
      UpsertResultOf, std::move(done));
}

absl::StatusOr<DeleteResult> Client::Delete(std::string_view name_space, const IdsView& ids,
                                            Durability durability, const CallOptions& call) {
  DeleteResult result;
  for (size_t first = 0; first < Size(ids);) {
    const size_t count = internal::IdsPerCall(ids, first, Size(ids));
    v1::DeleteRequest request;
    request.set_namespace_(std::string(name_space));
    ToWire(Slice(ids, first, count), request.mutable_ids());
    request.set_durability(ToWire(durability));
    VARVE_ASSIGN_OR_RETURN(
        const v1::DeleteResponse response,
        Call(*channel_, call, channel_->ingest(), &v1::IngestService::Stub::Delete, request));
    result.sequence = response.sequence();
    result.records_deleted += response.records_deleted();
    first += count;
  }
  return result;
}

absl::StatusOr<DeleteResult> Client::DeleteMatching(std::string_view name_space,
                                                    std::string_view filter, Durability durability,
                                                    const CallOptions& call) {
  VARVE_ASSIGN_OR_RETURN(v1::DeleteRequest request, DeleteByFilter(name_space, filter));
  request.set_durability(ToWire(durability));
  VARVE_ASSIGN_OR_RETURN(
      const v1::DeleteResponse response,
      Call(*channel_, call, channel_->ingest(), &v1::IngestService::Stub::Delete, request));
  return DeleteResult{.sequence = response.sequence(),
                      .records_deleted = response.records_deleted()};
}

absl::StatusOr<DeletePreview> Client::PreviewDelete(std::string_view name_space,
                                                    std::string_view filter,
                                                    const CallOptions& call) {
  VARVE_ASSIGN_OR_RETURN(v1::DeleteRequest request, DeleteByFilter(name_space, filter));
  request.set_dry_run(true);
  VARVE_ASSIGN_OR_RETURN(
      v1::DeleteResponse response,
      Call(*channel_, call, channel_->ingest(), &v1::IngestService::Stub::Delete, request));
  return DeletePreview{.records = response.records_deleted(),
                       .sample = FromWire(std::move(*response.mutable_sample())),
                       .sequence = response.sequence()};
}

absl::StatusOr<UpdateMetadataResult> Client::UpdateMetadata(std::string_view name_space,
                                                            const IdsView& ids,
                                                            absl::Span<const Metadata> patches,
                                                            Durability durability,
                                                            const CallOptions& call) {
  if (patches.size() != 1 && patches.size() != Size(ids)) {
    return absl::InvalidArgumentError(StrCat(Size(ids), " ids have ", patches.size(),
                                             " patches, wanted one for each or one for all"));
  }
  UpdateMetadataResult result;
  for (size_t first = 0; first < Size(ids);) {
    v1::UpdateMetadataRequest request;
    request.set_namespace_(std::string(name_space));
    request.set_durability(ToWire(durability));
    size_t count = std::min(kUpdateIdsMax, Size(ids) - first);
    if (patches.size() == 1) {
      ToWire(patches.front(), request.add_patches());
    } else {
      count = AddPatches(patches.subspan(first, count), &request);
    }
    ToWire(Slice(ids, first, count), request.mutable_ids());
    VARVE_ASSIGN_OR_RETURN(v1::UpdateMetadataResponse response,
                           Call(*channel_, call, channel_->ingest(),
                                &v1::IngestService::Stub::UpdateMetadata, request));
    result.sequence = response.sequence();
    result.records_updated += response.records_updated();
    VARVE_RETURN_IF_ERROR(
        Append(FromWire(std::move(*response.mutable_missing())), &result.missing));
    first += count;
  }
  return result;
}

absl::StatusOr<SearchResult> Client::Search(std::string_view name_space, const TensorView& query,
                                            const SearchOptions& options, const CallOptions& call) {
  VARVE_ASSIGN_OR_RETURN(const v1::SearchRequest request,
                         SearchRequestOf(name_space, query, options));
  return SearchOne(*channel_, call, request);
}

void Client::SearchAsync(std::string_view name_space, const TensorView& query,
                         Done<SearchResult> done, const SearchOptions& options,
                         const CallOptions& call) {
  CallAsync<v1::SearchResponse>(
      channel_.get(), call, SearchRequestOf(name_space, query, options),
      [stub = channel_->query().async()](auto... parts) { stub->Search(std::move(parts)...); },
      SearchResultOf, std::move(done));
}

absl::StatusOr<SearchResult> Client::SearchLike(std::string_view name_space,
                                                const ExamplesView& examples,
                                                const SearchOptions& options,
                                                const CallOptions& call) {
  if (Size(examples.positive) == 0) {
    return absl::InvalidArgumentError("a search by examples needs a positive one at least");
  }
  v1::SearchRequest request;
  request.set_namespace_(std::string(name_space));
  ToWire(options, request.mutable_options());
  ToWire(examples.positive, request.mutable_examples()->mutable_positive());
  if (Size(examples.negative) > 0) {
    ToWire(examples.negative, request.mutable_examples()->mutable_negative());
  }
  return SearchOne(*channel_, call, request);
}

absl::StatusOr<SearchBatchResult> Client::SearchBatch(std::string_view name_space,
                                                      const TensorView& queries,
                                                      const SearchOptions& options,
                                                      const CallOptions& call) {
  VARVE_RETURN_IF_ERROR(CheckTensor(queries));
  const size_t per_call = internal::QueriesPerCall(queries.row_bytes(), options.k);
  // An empty tensor is one call too: the server checks the rest of the request.
  const size_t calls = std::max<size_t>(1, (queries.rows + per_call - 1) / per_call);
  std::vector<absl::StatusOr<SearchBatchResult>> parts(calls);
  const auto search_part = [&](size_t i) {
    const size_t first = i * per_call;
    TensorView part = queries;
    part.rows = std::min(per_call, queries.rows - first);
    part.bytes = queries.bytes.substr(first * queries.row_bytes(), part.rows * part.row_bytes());
    SearchOptions part_options = options;
    part_options.explain = options.explain && i == 0;
    parts[i] = SearchPart(*channel_, name_space, part, part_options, call);
  };
  if (calls == 1) {
    search_part(0);
  } else {
    // The calling thread works too.
    ThreadPool pool("varve-search", std::min(calls, kSearchesInFlight) - 1);
    pool.ParallelFor(calls, search_part);
  }
  return Join(std::move(parts));
}

absl::StatusOr<GetResult> Client::Get(std::string_view name_space, const IdsView& ids,
                                      const GetOptions& options, const CallOptions& call) {
  GetResult result;
  const bool ids_alone = !options.include_vectors && !options.include_metadata;
  size_t most = ids_alone ? internal::kGetIdsMax : kGetWholeRecordsMax;
  for (size_t first = 0; first < Size(ids);) {
    const size_t count = internal::IdsPerCall(ids, first, most);
    v1::GetRequest request;
    request.set_namespace_(std::string(name_space));
    ToWire(Slice(ids, first, count), request.mutable_ids());
    request.set_include_vectors(options.include_vectors);
    request.set_include_metadata(options.include_metadata);
    request.mutable_metadata_paths()->Assign(options.metadata_paths.begin(),
                                             options.metadata_paths.end());
    absl::StatusOr<v1::GetResponse> response =
        Call(*channel_, call, channel_->query(), &v1::QueryService::Stub::Get, request);
    if (absl::IsResourceExhausted(response.status()) && count > 1) {
      most = count / 2;  // how long records are is the server's to know
      continue;
    }
    VARVE_RETURN_IF_ERROR(response.status());
    VARVE_ASSIGN_OR_RETURN(Records records, FromWire(std::move(*response->mutable_records())));
    VARVE_RETURN_IF_ERROR(Append(std::move(records), &result.records));
    VARVE_RETURN_IF_ERROR(
        Append(FromWire(std::move(*response->mutable_missing())), &result.missing));
    first += count;
  }
  return result;
}

Scanner Client::Scan(std::string_view name_space, const ScanOptions& options) {
  return Scanner(channel_, name_space, options);
}

absl::StatusOr<CountResult> Client::Count(std::string_view name_space, const CountOptions& options,
                                          const CallOptions& call) {
  v1::CountRequest request;
  request.set_namespace_(std::string(name_space));
  request.set_min_sequence(options.min_sequence);
  if (!options.filter.empty()) request.mutable_filter()->set_text(options.filter);
  VARVE_ASSIGN_OR_RETURN(
      const v1::CountResponse response,
      Call(*channel_, call, channel_->query(), &v1::QueryService::Stub::Count, request));
  return CountResult{.count = response.count(), .sequence = response.sequence()};
}

absl::StatusOr<std::vector<Segment>> Client::ListSegments(std::string_view name_space,
                                                          std::string_view field,
                                                          const CallOptions& call) {
  v1::ListSegmentsRequest request;
  request.set_namespace_(std::string(name_space));
  request.set_field(std::string(field));
  VARVE_ASSIGN_OR_RETURN(
      const v1::ListSegmentsResponse response,
      Call(*channel_, call, channel_->admin(), &v1::AdminService::Stub::ListSegments, request));
  std::vector<Segment> segments;
  for (const v1::Segment& segment : response.segments()) segments.push_back(FromWire(segment));
  return segments;
}

absl::Status Client::Flush(std::string_view name_space, const CallOptions& call) {
  v1::FlushRequest request;
  request.set_namespace_(std::string(name_space));
  return Call(*channel_, Patient(call), channel_->admin(), &v1::AdminService::Stub::Flush, request)
      .status();
}

absl::Status Client::Compact(std::string_view name_space, bool wait, const CallOptions& call) {
  v1::CompactRequest request;
  request.set_namespace_(std::string(name_space));
  request.set_wait(wait);
  return Call(*channel_, Patient(call), channel_->admin(), &v1::AdminService::Stub::Compact,
              request)
      .status();
}

absl::Status Client::WatchIndexing(std::string_view name_space,
                                   const std::function<void(const IndexingProgress&)>& report) {
  v1::WatchIndexingRequest request;
  request.set_namespace_(std::string(name_space));
  CallContext context(channel_.get());
  const auto reader = channel_->admin().WatchIndexing(context.get(), request);
  v1::WatchIndexingResponse progress;
  while (reader->Read(&progress)) report(FromWire(progress));
  return channel_->ToAbsl(reader->Finish());
}

absl::StatusOr<ServerStats> Client::Stats(std::string_view name_space, const CallOptions& call) {
  v1::StatsRequest request;
  request.set_namespace_(std::string(name_space));
  VARVE_ASSIGN_OR_RETURN(
      const v1::StatsResponse response,
      Call(*channel_, call, channel_->admin(), &v1::AdminService::Stub::Stats, request));
  return FromWire(response);
}

absl::StatusOr<Snapshot> Client::CreateSnapshot(std::string_view name, std::string_view name_space,
                                                const CallOptions& call) {
  v1::CreateSnapshotRequest request;
  request.set_name(std::string(name));
  request.set_namespace_(std::string(name_space));
  VARVE_ASSIGN_OR_RETURN(const v1::CreateSnapshotResponse response,
                         Call(*channel_, Patient(call), channel_->admin(),
                              &v1::AdminService::Stub::CreateSnapshot, request));
  return FromWire(response.snapshot());
}

absl::StatusOr<std::vector<Snapshot>> Client::ListSnapshots(const CallOptions& call) {
  VARVE_ASSIGN_OR_RETURN(const v1::ListSnapshotsResponse response,
                         Call(*channel_, call, channel_->admin(),
                              &v1::AdminService::Stub::ListSnapshots, v1::ListSnapshotsRequest()));
  std::vector<Snapshot> snapshots;
  for (const v1::Snapshot& snapshot : response.snapshots()) {
    snapshots.push_back(FromWire(snapshot));
  }
  return snapshots;
}

absl::StatusOr<SnapshotReport> Client::VerifySnapshot(std::string_view name,
                                                      const CallOptions& call) {
  v1::VerifySnapshotRequest request;
  request.set_name(std::string(name));
  VARVE_ASSIGN_OR_RETURN(const v1::VerifySnapshotResponse response,
                         Call(*channel_, Patient(call), channel_->admin(),
                              &v1::AdminService::Stub::VerifySnapshot, request));
  return SnapshotReport{
      .record_damage = {response.record_damage().begin(), response.record_damage().end()},
      .index_damage = {response.index_damage().begin(), response.index_damage().end()},
      .namespaces = response.namespaces(),
      .records = response.records(),
      .segments = response.segments()};
}

absl::StatusOr<RestoredNamespace> Client::RestoreSnapshot(std::string_view name,
                                                          std::string_view name_space,
                                                          std::string_view as,
                                                          const CallOptions& call) {
  v1::RestoreSnapshotRequest request;
  request.set_name(std::string(name));
  request.set_namespace_(std::string(name_space));
  request.set_as(std::string(as));
  VARVE_ASSIGN_OR_RETURN(const v1::RestoreSnapshotResponse response,
                         Call(*channel_, Patient(call), channel_->admin(),
                              &v1::AdminService::Stub::RestoreSnapshot, request));
  return RestoredNamespace{.name = response.namespace_(), .sequence = response.sequence()};
}

absl::Status Client::DeleteSnapshot(std::string_view name, const CallOptions& call) {
  v1::DeleteSnapshotRequest request;
  request.set_name(std::string(name));
  return Call(*channel_, Patient(call), channel_->admin(), &v1::AdminService::Stub::DeleteSnapshot,
              request)
      .status();
}

void Client::CancelAll() { channel_->CancelAll(); }

}  // namespace varve::client
