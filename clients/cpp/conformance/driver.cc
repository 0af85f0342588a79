// The conformance suite's hand on the C++ client; tests/conformance/README.md says what it speaks.

#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/metadata_json.h"
#include "clients/cli/json.h"
#include "clients/cpp/varve/client.h"
#include "clients/cpp/varve/ingest_writer.h"

namespace varve::client {
namespace {

using cli::Json;
using cli::ToJson;

constexpr size_t kDefaultBatchRows = 1000;

struct TypeName {
  std::string_view name;
  DType dtype;
};
constexpr TypeName kTypeNames[] = {{"f32", DType::kF32},
                                   {"f16", DType::kF16},
                                   {"bf16", DType::kBF16},
                                   {"u8", DType::kU8},
                                   {"i8", DType::kI8}};

DType ToType(const std::string& name) {
  for (const TypeName& known : kTypeNames) {
    if (known.name == name) return known.dtype;
  }
  return DType::kF32;
}

std::string NameOf(DType dtype) {
  for (const TypeName& known : kTypeNames) {
    if (known.dtype == dtype) return std::string(known.name);
  }
  return "";
}

// A member that may be missing or null.
template <typename T>
T Optional(const Json& request, const char* name, T otherwise) {
  const auto found = request.find(name);
  return found == request.end() || found->is_null() ? otherwise : found->get<T>();
}

Ids ToIds(const Json& given) {
  if (given.contains("texts")) return given["texts"].get<std::vector<std::string>>();
  std::vector<uint64_t> numbers;
  for (const Json& text : given["numbers"]) {
    numbers.push_back(std::stoull(text.get<std::string>()));
  }
  return numbers;
}

Json ToJson(const Ids& ids) {
  Json listed;
  if (const auto* texts = std::get_if<std::vector<std::string>>(&ids)) {
    listed["texts"] = *texts;
    return listed;
  }
  listed["numbers"] = Json::array();
  for (const uint64_t number : std::get<std::vector<uint64_t>>(ids)) {
    listed["numbers"].push_back(std::to_string(number));
  }
  return listed;
}

// Of one row where its shape has one number.
Tensor ToTensor(const Json& given) {
  const auto shape = given["shape"].get<std::vector<size_t>>();
  Tensor tensor{.dtype = ToType(given["dtype"].get<std::string>()),
                .rows = shape.size() == 1 ? 1 : shape[0],
                .columns = shape.back()};
  absl::Base64Unescape(given["data"].get<std::string>(), &tensor.bytes);
  return tensor;
}

Json ToJson(const Tensor& tensor) {
  std::string data;
  absl::Base64Escape(tensor.bytes, &data);
  return {{"dtype", NameOf(tensor.dtype)},
          {"shape", {tensor.rows, tensor.columns}},
          {"data", std::move(data)}};
}

absl::StatusOr<std::vector<Metadata>> ToMetadata(const Json& request, const char* name) {
  std::vector<Metadata> all;
  if (!request.contains(name) || request[name].is_null()) return all;
  for (const Json& one : request[name]) {
    VARVE_ASSIGN_OR_RETURN(Metadata metadata, cli::ParseMetadata(one.dump(), {}));
    all.push_back(std::move(metadata));
  }
  return all;
}

// What an ingest's acknowledgements add up to.
class Tally {
 public:
  void OnBatch(uint64_t number, size_t first, size_t rows) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    batches_[number] = {first, rows};
  }
  void OnAck(const IngestAck& ack) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    const auto [first, rows] = batches_[ack.number];
    // An acknowledgement that was lost says nothing of its batch but that it is written.
    written_ += ack.sequence == 0 ? rows : ack.records_written;
    for (const RowError& error : ack.row_errors) {
      errors_.push_back({{"row", first + error.row}, {"message", error.message}});
    }
  }
  Json ToOk() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(&mu_);
    return {{"rows_written", written_}, {"row_errors", errors_}};
  }

 private:
  Mutex mu_;
  std::map<uint64_t, std::pair<size_t, size_t>> batches_ ABSL_GUARDED_BY(mu_);
  uint64_t written_ ABSL_GUARDED_BY(mu_) = 0;
  Json errors_ ABSL_GUARDED_BY(mu_) = Json::array();
};

class Driver {
 public:
  absl::StatusOr<Json> Run(const std::string& op, const Json& request) {
    if (op == "connect") return Connect(request);
    if (op == "create_namespace") return CreateNamespace(request);
    if (op == "list_namespaces") return ListNamespaces();
    if (op == "delete_namespace") return DeleteNamespace(request);
    if (op == "ingest" || op == "ingest_many") return Ingest(request);
    if (op == "search") return Search(request);
    if (op == "search_batch") return SearchBatch(request);
    if (op == "get") return Get(request);
    if (op == "delete") return Delete(request);
    if (op == "update_metadata") return UpdateMetadata(request);
    if (op == "count") return Count(request);
    if (op == "scan") return Scan(request);
    if (op == "flush") return Flush(request);
    return absl::UnimplementedError(StrCat("no operation ", op));
  }

 private:
  static std::string Space(const Json& request) { return request["namespace"]; }

  absl::StatusOr<Json> Connect(const Json& request) {
    VARVE_ASSIGN_OR_RETURN(client_, Client::Connect(request["address"].get<std::string>()));
    return Json::object();
  }

  absl::StatusOr<Json> CreateNamespace(const Json& request) {
    const auto metric = Optional<std::string>(request, "metric", "l2");
    const auto id_type = Optional<std::string>(request, "id_type", "");
    const VectorField field{
        .dimension = request["dimension"].get<uint32_t>(),
        .metric = metric == "cosine" ? Metric::kCosine
                  : metric == "dot"  ? Metric::kDot
                                     : Metric::kL2,
        .element_type = ToType(Optional<std::string>(request, "element_type", "f32"))};
    const Namespace space{.name = request["name"],
                          .fields = {field},
                          .id_type = id_type == "number" ? IdType::kNumber
                                     : id_type == "text" ? IdType::kText
                                                         : IdType::kUndecided};
    VARVE_RETURN_IF_ERROR(client_->CreateNamespace(space).status());
    return Json::object();
  }

  absl::StatusOr<Json> ListNamespaces() {
    VARVE_ASSIGN_OR_RETURN(const auto spaces, client_->ListNamespaces());
    Json names = Json::array();
    for (const Namespace& space : spaces) names.push_back(space.name);
    return Json{{"names", names}};
  }

  absl::StatusOr<Json> DeleteNamespace(const Json& request) {
    VARVE_RETURN_IF_ERROR(client_->DeleteNamespace(request["name"].get<std::string>()));
    return Json::object();
  }

  // Every batch of a producer is brought; what it has already is passed over.
  absl::StatusOr<Json> Ingest(const Json& request) {
    Tally tally;
    VARVE_ASSIGN_OR_RETURN(
        const auto writer,
        IngestWriter::Open(
            *client_,
            {.name_space = Space(request),
             .producer = Optional<std::string>(request, "producer", StrCat("run-", ++runs_)),
             .durability = Optional<std::string>(request, "durability", "applied") == "synced"
                               ? Durability::kSynced
                               : Durability::kApplied,
             .on_error = Optional<std::string>(request, "on_error", "fail") == "skip"
                             ? OnError::kSkip
                             : OnError::kFailBatch,
             .on_ack = [&](const IngestAck& ack) { tally.OnAck(ack); }}));
    VARVE_ASSIGN_OR_RETURN(const auto metadata, ToMetadata(request, "metadata"));
    const Tensor vectors = ToTensor(request["vectors"]);
    Ids ids = ToIds(request["ids"]);
    const size_t rows = Size(ids);
    if (rows != vectors.rows) {
      return absl::InvalidArgumentError(
          StrCat("there are ", rows, " ids and ", vectors.rows, " vectors"));
    }
    const auto batch_rows = Optional<size_t>(request, "batch_rows", kDefaultBatchRows);
    uint64_t number = 0;
    for (size_t round = 0; round < Optional<size_t>(request, "repeat", 1); ++round) {
      for (size_t first = 0; first < rows; first += batch_rows) {
        const size_t count = std::min(batch_rows, rows - first);
        if (++number <= writer->last_batch()) continue;
        tally.OnBatch(number, round * rows + first, count);
        const size_t stride = vectors.columns * SizeOf(vectors.dtype);
        TensorView some = vectors.view();
        some.rows = count;
        some.bytes = some.bytes.substr(first * stride, count * stride);
        absl::Span<const Metadata> described;
        if (!metadata.empty()) described = absl::MakeConstSpan(metadata).subspan(first, count);
        VARVE_RETURN_IF_ERROR(
            writer
                ->Write(
                    {.ids = Slice(View(ids), first, count), .vectors = some, .metadata = described})
                .status());
      }
      if (auto* numbers = std::get_if<std::vector<uint64_t>>(&ids)) {
        for (uint64_t& id : *numbers) id += rows;
      }
    }
    VARVE_RETURN_IF_ERROR(writer->Finish());
    return tally.ToOk();
  }

  static SearchOptions ToOptions(const Json& request) {
    SearchOptions options{.k = request["k"].get<uint32_t>(),
                          .exact = Optional<bool>(request, "exact", false),
                          .include_vectors = Optional<bool>(request, "include_vectors", false),
                          .filter = Optional<std::string>(request, "filter", ""),
                          .include_metadata = Optional<bool>(request, "include_metadata", false)};
    if (const auto ef = Optional<uint32_t>(request, "ef_search", 0); ef != 0) {
      options.ef_search = ef;
    }
    return options;
  }

  absl::StatusOr<Json> Search(const Json& request) {
    const Tensor query = ToTensor(request["query"]);
    const SearchOptions options = ToOptions(request);
    VARVE_ASSIGN_OR_RETURN(const SearchResult found,
                           client_->Search(Space(request), query.view(), options));
    std::vector<std::string> texts;
    std::vector<uint64_t> numbers;
    Json ok = {{"ids", nullptr}, {"distances", Json::array()}};
    for (const Hit& hit : found.hits) {
      if (const auto* text = std::get_if<std::string>(&hit.id)) texts.push_back(*text);
      if (const auto* one = std::get_if<uint64_t>(&hit.id)) numbers.push_back(*one);
      ok["distances"].push_back(ToJson(hit.distance));
      if (options.include_vectors) ok["vectors"].push_back(ToJson(hit.vector));
      if (options.include_metadata) ok["metadata"].push_back(ToJson(hit.metadata));
    }
    ok["ids"] = ToJson(texts.empty() ? Ids(numbers) : Ids(texts));
    return ok;
  }

  absl::StatusOr<Json> SearchBatch(const Json& request) {
    const Tensor queries = ToTensor(request["queries"]);
    VARVE_ASSIGN_OR_RETURN(
        const SearchBatchResult found,
        client_->SearchBatch(Space(request), queries.view(), ToOptions(request)));
    Json distances = Json::array();
    for (const float distance : found.distances) distances.push_back(ToJson(distance));
    return Json{{"counts", found.counts}, {"ids", ToJson(found.ids)}, {"distances", distances}};
  }

  absl::StatusOr<Json> Get(const Json& request) {
    const Ids ids = ToIds(request["ids"]);
    VARVE_ASSIGN_OR_RETURN(
        const GetResult found,
        client_->Get(Space(request), View(ids),
                     {.include_vectors = Optional<bool>(request, "include_vectors", false),
                      .include_metadata = Optional<bool>(request, "include_metadata", false)}));
    Json metadata = Json::array();
    for (const Metadata& one : found.records.metadata) metadata.push_back(ToJson(one));
    return Json{{"ids", ToJson(found.records.ids)},
                {"vectors", ToJson(found.records.vectors)},
                {"metadata", metadata},
                {"missing", ToJson(found.missing)}};
  }

  absl::StatusOr<Json> Delete(const Json& request) {
    const auto filter = Optional<std::string>(request, "filter", "");
    if (filter.empty()) {
      const Ids ids = ToIds(request["ids"]);
      VARVE_ASSIGN_OR_RETURN(const auto done, client_->Delete(Space(request), View(ids)));
      return Json{{"deleted", done.records_deleted}};
    }
    if (Optional<bool>(request, "dry_run", false)) {
      VARVE_ASSIGN_OR_RETURN(const auto seen, client_->PreviewDelete(Space(request), filter));
      return Json{{"deleted", seen.records}};
    }
    VARVE_ASSIGN_OR_RETURN(const auto done, client_->DeleteMatching(Space(request), filter));
    return Json{{"deleted", done.records_deleted}};
  }

  absl::StatusOr<Json> UpdateMetadata(const Json& request) {
    const Ids ids = ToIds(request["ids"]);
    VARVE_ASSIGN_OR_RETURN(const auto patches, ToMetadata(request, "patches"));
    VARVE_ASSIGN_OR_RETURN(const auto done,
                           client_->UpdateMetadata(Space(request), View(ids), patches));
    return Json{{"updated", done.records_updated}, {"missing", ToJson(done.missing)}};
  }

  absl::StatusOr<Json> Count(const Json& request) {
    VARVE_ASSIGN_OR_RETURN(
        const auto found,
        client_->Count(Space(request), {.filter = Optional<std::string>(request, "filter", "")}));
    return Json{{"count", found.count}};
  }

  absl::StatusOr<Json> Scan(const Json& request) {
    Scanner scanner = client_->Scan(
        Space(request), {.include_vectors = Optional<bool>(request, "include_vectors", false),
                         .include_metadata = Optional<bool>(request, "include_metadata", false),
                         .filter = Optional<std::string>(request, "filter", "")});
    Json ids = {{"numbers", Json::array()}}, metadata = Json::array();
    Tensor vectors;
    Records page;
    while (true) {
      VARVE_ASSIGN_OR_RETURN(const bool more, scanner.Next(&page));
      if (!more) break;
      const Json some = ToJson(page.ids);
      const std::string kind = some.begin().key();
      if (!ids.contains(kind)) ids = {{kind, Json::array()}};
      for (const Json& id : some[kind]) ids[kind].push_back(id);
      vectors.dtype = page.vectors.dtype;
      vectors.rows += page.vectors.rows;
      vectors.columns = page.vectors.columns;
      vectors.bytes += page.vectors.bytes;
      for (const Metadata& one : page.metadata) metadata.push_back(ToJson(one));
    }
    return Json{{"ids", ids}, {"vectors", ToJson(vectors)}, {"metadata", metadata}};
  }

  absl::StatusOr<Json> Flush(const Json& request) {
    VARVE_RETURN_IF_ERROR(client_->Flush(Space(request)));
    return Json::object();
  }

  std::unique_ptr<Client> client_;
  int runs_ = 0;
};

Json Answer(Driver* driver, const Json& request) {
  const absl::StatusOr<Json> result = driver->Run(request["op"].get<std::string>(), request);
  if (result.ok()) return {{"ok", *result}};
  const absl::Status& status = result.status();
  return {{"error",
           {{"code", absl::StatusCodeToString(status.code())},
            {"message", std::string(status.message())}}}};
}

}  // namespace
}  // namespace varve::client

int main() {
  varve::client::Driver driver;
  for (std::string line; std::getline(std::cin, line);) {
    const auto request = varve::cli::Json::parse(line);
    std::cout << varve::cli::ToText(varve::client::Answer(&driver, request)) << std::endl;
  }
}
