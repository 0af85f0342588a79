#include "clients/cpp/varve/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <future>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cpp/testing/fake_server.h"

namespace varve::client {
namespace {

using ::testing::ElementsAre;
using testing::FakeServer;
using testing::FakeServerOptions;
using ::testing::HasSubstr;

// Record i of `n` has id i and the vector (i, i).
absl::Status Fill(Client& client, const std::string& name, uint64_t n) {
  absl::Status status =
      client.CreateNamespace({.name = name, .fields = {{.dimension = 2}}}).status();
  if (!status.ok()) return status;
  std::vector<uint64_t> ids(n);
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<float> vectors;
  for (const uint64_t id : ids) vectors.insert(vectors.end(), 2, static_cast<float>(id));
  return client.Upsert(name, {.ids = absl::MakeConstSpan(ids), .vectors = View(vectors, 2)})
      .status();
}

class ClientTest : public ::testing::Test {
 protected:
  FakeServer server_;
  std::unique_ptr<Client> client_ = *Client::Connect(server_.target());
};

TEST_F(ClientTest, ANamespaceComesBackWithItsDefaults) {
  const auto made = client_->CreateNamespace({.name = "a",
                                              .fields = {{.dimension = 3,
                                                          .metric = Metric::kCosine,
                                                          .element_type = DType::kF16,
                                                          .index = {.ef_search = 99}}},
                                              .id_type = IdType::kText});
  ASSERT_TRUE(made.ok()) << made.status();
  const auto got = client_->GetNamespace("a");
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->name, "a");
  EXPECT_EQ(got->id_type, IdType::kText);
  ASSERT_EQ(got->fields.size(), 1);
  EXPECT_EQ(got->fields[0].dimension, 3);
  EXPECT_EQ(got->fields[0].metric, Metric::kCosine);
  EXPECT_EQ(got->fields[0].element_type, DType::kF16);
  EXPECT_EQ(got->fields[0].index.ef_search, 99);
  EXPECT_EQ(got->fields[0].index.m, 16);
  EXPECT_GT(got->create_time, absl::UnixEpoch());
}

TEST_F(ClientTest, NamespacesAreListedOverAllPages) {
  for (const char* name : {"e", "a", "d", "b", "c"}) ASSERT_TRUE(Fill(*client_, name, 1).ok());
  const auto all = client_->ListNamespaces();
  ASSERT_TRUE(all.ok());
  std::string names;
  for (const Namespace& one : *all) names += one.name;
  EXPECT_EQ(names, "abcde");
}

TEST_F(ClientTest, UpdatingChangesOnlyWhatIsSet) {
  ASSERT_TRUE(Fill(*client_, "a", 1).ok());
  const auto updated = client_->UpdateNamespace("a", {.ef_search = 200});
  ASSERT_TRUE(updated.ok());
  EXPECT_EQ(updated->fields[0].index.ef_search, 200);
  EXPECT_EQ(updated->fields[0].index.ef_construction, 200);
}

TEST_F(ClientTest, LimitsAreToldAndUpdated) {
  Namespace spec{.name = "a", .fields = {{.dimension = 3}}};
  spec.limits = {.max_vectors = uint64_t{1} << 40, .max_k = 5};
  const auto made = client_->CreateNamespace(spec);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->limits.max_vectors, uint64_t{1} << 40);
  EXPECT_EQ(made->limits.max_k, 5);
  EXPECT_EQ(made->limits.max_streams, std::nullopt);
  const auto updated =
      client_->UpdateLimits("a", {.max_streams = 2, .max_ingest_bytes_per_second = 1000});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->limits.max_k, 5);
  EXPECT_EQ(updated->limits.max_streams, 2);
  EXPECT_EQ(updated->limits.max_ingest_bytes_per_second, 1000);
}

TEST_F(ClientTest, ErrorsCarryTheServersWords) {
  EXPECT_EQ(client_->GetNamespace("a").status(), absl::NotFoundError("namespace a does not exist"));
  EXPECT_EQ(client_->DeleteNamespace("a"), absl::NotFoundError("namespace a does not exist"));
}

TEST_F(ClientTest, AServerThatIsNotThereIsUnavailableAndNamed) {
  server_.Stop();
  const absl::Status status = client_->Count("a").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("server " + server_.target()));
}

TEST_F(ClientTest, ATargetMustHaveAPort) {
  for (const char* target : {"", "localhost", ":1", "localhost:", "localhost:x", "localhost:0",
                             "localhost:65536", "localhost:1x"}) {
    EXPECT_EQ(Client::Connect(target).status().code(), absl::StatusCode::kInvalidArgument)
        << target;
  }
}

// The kernel takes the connection, and nobody ever answers.
TEST_F(ClientTest, AnApiKeyThatCannotBeSentIsRefusedAndNotShown) {
  for (const char* key : {"two words", "line\n", "Schl\xc3\xbcssel"}) {
    const auto client = Client::Connect(server_.target(), {.api_key = key});
    EXPECT_TRUE(absl::IsInvalidArgument(client.status())) << key;
    EXPECT_THAT(std::string(client.status().message()), ::testing::Not(HasSubstr(key)));
  }
}

TEST_F(ClientTest, FilesOfCertificatesAreLookedAtWhenConnecting) {
  const std::string path = ::testing::TempDir() + "/no.pem";
  std::ofstream(path) << "no certificate";
  const struct {
    TlsOptions tls;
    std::string expected;
  } cases[] = {
      {{.ca_file = path}, "no.pem holds no certificate in PEM"},
      {{.ca_file = path + "x"}, "cannot read " + path + "x: No such file"},
      {{.ca_file = ::testing::TempDir()}, "cannot read "},
      {{.cert_file = path}, "must be given together"},
      {{.key_file = path}, "must be given together"},
      {{.cert_file = path, .key_file = path}, "no.pem holds no certificate in PEM"},
  };
  for (const auto& one : cases) {
    const auto client = Client::Connect(server_.target(), {.tls = one.tls});
    EXPECT_TRUE(absl::IsInvalidArgument(client.status()));
    EXPECT_THAT(std::string(client.status().message()), HasSubstr(one.expected));
  }
}

TEST_F(ClientTest, ATimeoutEndsACall) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(listener, 1), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length), 0);
  const auto client = Client::Connect(absl::StrCat("127.0.0.1:", ntohs(address.sin_port)));
  ASSERT_TRUE(client.ok()) << client.status();
  EXPECT_EQ((*client)->Count("a", {}, {.timeout = absl::Milliseconds(50)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  close(listener);
}

TEST_F(ClientTest, ASearchFindsTheNearest) {
  ASSERT_TRUE(Fill(*client_, "a", 100).ok());
  const std::vector<float> query = {41.9f, 41.9f};
  const auto found = client_->Search("a", View(query, 2), {.k = 3});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->hits.size(), 3);
  EXPECT_EQ(found->hits[0].id, Id(uint64_t{42}));
  EXPECT_EQ(found->hits[1].id, Id(uint64_t{41}));
  EXPECT_NEAR(found->hits[0].distance, 0.02, 1e-4);
}

TEST_F(ClientTest, ManyQueriesAreCutIntoCallsAndJoinedInOrder) {
  ASSERT_TRUE(Fill(*client_, "a", 50).ok());
  std::vector<float> queries;
  for (int i = 0; i < 1'000; ++i) queries.insert(queries.end(), 2, static_cast<float>(i % 50));
  const auto found = client_->SearchBatch("a", View(queries, 2), {.k = 50});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_LT(server_.queries_at_once(), 1'000);
  ASSERT_EQ(found->counts, std::vector<uint32_t>(1'000, 50));
  ASSERT_EQ(found->distances.size(), 50'000);
  for (size_t i = 0; i < 1'000; ++i) {
    EXPECT_EQ(At(found->ids, i * 50), Id(uint64_t{i % 50}));
    EXPECT_EQ(found->distances[i * 50], 0);
  }
}

TEST_F(ClientTest, ASearchInANamespaceThatIsMissingFailsWhole) {
  const std::vector<float> queries(2'000);
  EXPECT_EQ(client_->SearchBatch("a", View(queries, 2), {.k = 10'000}).status(),
            absl::NotFoundError("namespace a does not exist"));
}

TEST_F(ClientTest, GetReturnsRecordsInTheOrderAskedAndWhatIsMissing) {
  ASSERT_TRUE(Fill(*client_, "a", 12'000).ok());
  std::vector<uint64_t> ids(12'001);
  std::iota(ids.rbegin(), ids.rend(), 0);
  const auto got = client_->Get("a", absl::MakeConstSpan(ids), {.include_vectors = true});
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_LE(server_.ids_at_once(), 10'000);
  EXPECT_EQ(Size(got->missing), 1);
  EXPECT_EQ(At(got->missing, 0), Id(uint64_t{12'000}));
  ASSERT_EQ(Size(got->records.ids), 12'000);
  ASSERT_EQ(got->records.vectors.rows, 12'000);
  EXPECT_EQ(At(got->records.ids, 0), Id(uint64_t{11'999}));
  EXPECT_THAT(ToFloats({DType::kF32, 1, 2, got->records.vectors.view().row(0)}),
              ElementsAre(11'999, 11'999));
}

TEST_F(ClientTest, DeletedRecordsAreCounted) {
  ASSERT_TRUE(Fill(*client_, "a", 10).ok());
  const std::vector<uint64_t> ids = {3, 4, 77};
  const auto deleted = client_->Delete("a", absl::MakeConstSpan(ids));
  ASSERT_TRUE(deleted.ok());
  EXPECT_EQ(deleted->records_deleted, 2);
  EXPECT_EQ(client_->Count("a")->count, 8);
}

TEST_F(ClientTest, ASchemaComesBackWhole) {
  const auto made = client_->CreateNamespace(
      {.name = "a",
       .fields = {{.dimension = 3}, {.name = "tokens", .dimension = 4, .multi_vector = true}},
       .attributes = {{.path = "price", .type = AttributeType::kDouble},
                      {.path = "tags", .type = AttributeType::kString, .list = true}},
       .default_ttl = absl::Hours(36) + absl::Milliseconds(5)});
  ASSERT_TRUE(made.ok()) << made.status();
  const auto got = client_->GetNamespace("a");
  ASSERT_TRUE(got.ok()) << got.status();
  ASSERT_EQ(got->fields.size(), 2);
  EXPECT_FALSE(got->fields[0].multi_vector);
  EXPECT_EQ(got->fields[1].name, "tokens");
  EXPECT_TRUE(got->fields[1].multi_vector);
  ASSERT_EQ(got->attributes.size(), 2);
  EXPECT_EQ(got->attributes[0].path, "price");
  EXPECT_EQ(got->attributes[0].type, AttributeType::kDouble);
  EXPECT_FALSE(got->attributes[0].list);
  EXPECT_TRUE(got->attributes[1].list);
  EXPECT_EQ(got->default_ttl, absl::Hours(36) + absl::Milliseconds(5));
  const auto updated = client_->UpdateNamespace("a", {.m = 32}, "tokens");
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->fields[0].index.m, 16);
  EXPECT_EQ(updated->fields[1].index.m, 32);
}

// Three records with metadata; of "c" there are two values, "i" is the id.
class MetadataTest : public ClientTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(client_->CreateNamespace({.name = "a", .fields = {{.dimension = 2}}}).ok());
    const auto written = client_->Upsert(
        "a", {.ids = absl::MakeConstSpan(ids_),
              .vectors = View(vectors_, 2),
              .metadata = metadata_,
              .expire_times = {absl::InfiniteFuture(), time_, absl::InfiniteFuture()}});
    ASSERT_TRUE(written.ok()) << written.status();
  }

  const absl::Time time_ = absl::FromUnixMicros(1'000'000'000'123'456);
  const std::vector<uint64_t> ids_ = {0, 1, 2};
  const std::vector<float> vectors_ = {0, 0, 1, 1, 2, 2};
  const std::vector<Metadata> metadata_ = {
      {{"c", "even"}, {"i", 0}, {"at", time_}, {"old", absl::FromUnixMicros(-1)}},
      {{"c", "odd"}, {"i", 1}, {"tags", List{"x", 7, 0.5, true}}},
      {{"c", "even"}, {"i", 2}, {"size", Metadata{{"eu", 44}, {"us", 9.5}}}}};
};

TEST_F(MetadataTest, MetadataAndExpireTimesComeBackAsTheyWere) {
  const auto got = client_->Get("a", absl::MakeConstSpan(ids_), {.include_metadata = true});
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->records.metadata, metadata_);
  EXPECT_THAT(got->records.expire_times,
              ElementsAre(absl::InfiniteFuture(), time_, absl::InfiniteFuture()));
  EXPECT_EQ(got->records.vectors.rows, 0);

  Records page;
  Scanner scanner = client_->Scan("a", {.include_metadata = true, .filter = "c = \"even\""});
  ASSERT_TRUE(*scanner.Next(&page));
  EXPECT_EQ(page.metadata, (std::vector<Metadata>{metadata_[0], metadata_[2]}));
  EXPECT_FALSE(*scanner.Next(&page));
}

TEST_F(MetadataTest, ABatchMustHaveMetadataAndTimesForEachRecordOrNone) {
  const RecordsView records{.ids = absl::MakeConstSpan(ids_), .vectors = View(vectors_, 2)};
  const auto refused = [&](const RecordsView& view) {
    const absl::Status status = client_->Upsert("a", view).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  RecordsView view = records;
  view.metadata = absl::MakeConstSpan(metadata_).subspan(1);
  EXPECT_EQ(refused(view), "a batch has 3 ids and metadata of 2 records, wanted one each or none");
  view = records;
  const std::vector<absl::Time> times(2, time_);
  view.expire_times = times;
  EXPECT_EQ(refused(view),
            "a batch has 3 ids and 2 expire times, wanted one each, one for all or none");
  view.expire_times = absl::MakeConstSpan(times).subspan(1);
  EXPECT_TRUE(client_->Upsert("a", view).ok());
}

TEST_F(MetadataTest, FiltersGoToEveryCall) {
  EXPECT_EQ(client_->Count("a", {.filter = "c = \"even\""})->count, 2);
  const std::vector<float> query = {1, 1};
  const auto found = client_->Search(
      "a", View(query, 2), {.k = 3, .filter = "i = 1", .include_metadata = true, .group_by = "c"});
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->hits.size(), 1);
  EXPECT_EQ(found->hits[0].metadata, metadata_[1]);
  EXPECT_EQ(found->hits[0].group, Value("odd"));
  EXPECT_FALSE(found->explanation.has_value());
  const absl::Status wrong = client_->Count("a", {.filter = "c ?"}).status();
  EXPECT_EQ(wrong.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(wrong.message()), HasSubstr("filter, column 4"));
}

TEST_F(MetadataTest, EveryOptionOfASearchIsSent) {
  const std::vector<float> query = {1, 1};
  const auto found = client_->Search("a", View(query, 2),
                                     {.k = 3,
                                      .ef_search = 50,
                                      .exact = true,
                                      .min_sequence = 1,
                                      .include_vectors = true,
                                      .field = "f",
                                      .include_metadata = true,
                                      .metadata_paths = {"c", "size.eu"},
                                      .explain = true,
                                      .offset = 4,
                                      .max_distance = 0,
                                      .group_by = "c",
                                      .group_size = 2,
                                      .diversity = Diversity{.weight = 0.25f, .candidates = 99}});
  ASSERT_TRUE(found.ok()) << found.status();
  const v1::SearchOptions sent = server_.search_options();
  EXPECT_EQ(sent.k(), 3);
  EXPECT_EQ(sent.ef_search(), 50);
  EXPECT_TRUE(sent.exact() && sent.include_vectors() && sent.include_metadata() && sent.explain());
  EXPECT_EQ(sent.field(), "f");
  EXPECT_FALSE(sent.has_filter());
  EXPECT_THAT(sent.metadata_paths(), ElementsAre("c", "size.eu"));
  EXPECT_EQ(sent.offset(), 4);
  EXPECT_TRUE(sent.has_max_distance());
  EXPECT_EQ(sent.group_by(), "c");
  EXPECT_EQ(sent.group_size(), 2);
  EXPECT_EQ(sent.diversity().weight(), 0.25f);
  EXPECT_EQ(sent.diversity().candidates(), 99);
  ASSERT_TRUE(found->explanation.has_value());
  ASSERT_EQ(found->explanation->segments.size(), 1);
  const SegmentExplanation& segment = found->explanation->segments[0];
  EXPECT_EQ(SearchPlanName(segment.plan), "filtered walk");
  EXPECT_EQ(segment.estimated_selectivity, 0.25);
  EXPECT_EQ(segment.distances, 1'234);
  EXPECT_EQ(segment.time, absl::Microseconds(1'500));
  EXPECT_EQ(found->explanation->filter_time, absl::Microseconds(250));
}

TEST_F(MetadataTest, OfABatchTheFirstQueryIsExplained) {
  const std::vector<float> queries(2'000);
  const auto found = client_->SearchBatch("a", View(queries, 2),
                                          {.k = 10'000, .filter = "i = 1", .explain = true});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->counts, std::vector<uint32_t>(1'000, 1));
  EXPECT_TRUE(found->explanation.has_value());
  const auto plain = client_->SearchBatch("a", View(queries, 2), {.k = 1});
  EXPECT_FALSE(plain->explanation.has_value());
  EXPECT_EQ(server_.search_options().group_size(), 1);
}

TEST_F(MetadataTest, RecordsAreSearchedByExample) {
  const std::vector<uint64_t> like = {2};
  const auto found = client_->SearchLike("a", {.positive = absl::MakeConstSpan(like)}, {.k = 1});
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->hits[0].id, Id(uint64_t{2}));
  EXPECT_EQ(client_->SearchLike("a", {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(MetadataTest, RecordsAreDeletedByFilterAfterALook) {
  const auto preview = client_->PreviewDelete("a", "c = \"even\"");
  ASSERT_TRUE(preview.ok()) << preview.status();
  EXPECT_EQ(preview->records, 2);
  EXPECT_THAT(std::get<std::vector<uint64_t>>(preview->sample), ElementsAre(0, 2));
  EXPECT_EQ(client_->Count("a")->count, 3);
  const auto deleted = client_->DeleteMatching("a", "c = \"even\"");
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(deleted->records_deleted, 2);
  for (const char* empty : {"", " \n"}) {
    EXPECT_EQ(client_->DeleteMatching("a", empty).status().code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(client_->PreviewDelete("a", empty).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(client_->Count("a")->count, 1);
}

TEST_F(MetadataTest, OnePatchChangesAllRecordsOrEachHasItsOwn) {
  const std::vector<uint64_t> ids = {2, 77, 0};
  const std::vector<Metadata> one = {{{"c", nullptr}, {"size", Metadata{{"us", nullptr}}}}};
  const auto all = client_->UpdateMetadata("a", absl::MakeConstSpan(ids), one);
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->records_updated, 2);
  EXPECT_THAT(std::get<std::vector<uint64_t>>(all->missing), ElementsAre(77));
  const std::vector<Metadata> each = {{{"n", 2}}, {{"n", 77}}, {{"n", 0}}};
  ASSERT_TRUE(client_->UpdateMetadata("a", absl::MakeConstSpan(ids), each).ok());
  const auto got = client_->Get("a", absl::MakeConstSpan(ids).first(1), {.include_metadata = true});
  EXPECT_EQ(got->records.metadata[0],
            (Metadata{{"i", 2}, {"n", 2}, {"size", Metadata{{"eu", 44}}}}));
  EXPECT_EQ(
      client_->UpdateMetadata("a", absl::MakeConstSpan(ids), absl::MakeConstSpan(each).first(2))
          .status()
          .message(),
      "3 ids have 2 patches, wanted one for each or one for all");
}

TEST_F(ClientTest, ManyPatchesAreCutIntoCalls) {
  ASSERT_TRUE(Fill(*client_, "a", 10'000).ok());
  std::vector<uint64_t> ids(10'000);
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<Metadata> patches;
  for (const uint64_t id : ids) {
    patches.push_back({{"n", static_cast<int64_t>(id)}, {"text", std::string(1'000, 'x')}});
  }
  const auto updated = client_->UpdateMetadata("a", absl::MakeConstSpan(ids), patches);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->records_updated, 10'000);
  EXPECT_LT(server_.ids_at_once(), 3'000);
  const auto got = client_->Get("a", absl::MakeConstSpan(ids),
                                {.include_vectors = true, .include_metadata = true});
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->records.metadata, patches);
  EXPECT_EQ(got->records.vectors.rows, 10'000);
}

// Two fields, one of them of several vectors, over several calls.
TEST_F(ClientTest, FieldsOfOneVectorAndOfSeveralComeBackJoined) {
  ASSERT_TRUE(client_->CreateNamespace({.name = "a", .fields = {{.dimension = 2}}}).ok());
  std::vector<uint64_t> ids, offsets = {0};
  std::vector<float> vectors, tokens;
  for (uint64_t id = 0; id < 2'500; ++id) {
    ids.push_back(id);
    vectors.insert(vectors.end(), 2, static_cast<float>(id));
    tokens.insert(tokens.end(), 1 + id % 3, static_cast<float>(id));
    offsets.push_back(tokens.size());
  }
  const FieldVectorsView more[] = {
      {.field = "tokens", .vectors = View(tokens, 1), .offsets = offsets}};
  const auto written = client_->Upsert("a", {.ids = absl::MakeConstSpan(ids),
                                             .vectors = View(vectors, 2),
                                             .field = "title",
                                             .more_fields = more});
  ASSERT_TRUE(written.ok()) << written.status();
  const auto got = client_->Get("a", absl::MakeConstSpan(ids), {.include_vectors = true});
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_LT(server_.ids_at_once(), 2'500);
  EXPECT_EQ(got->records.vectors.rows, 0);
  ASSERT_EQ(got->records.fields.size(), 2);
  EXPECT_EQ(got->records.fields[0].field, "title");
  EXPECT_EQ(ToFloats(got->records.fields[0].vectors.view()), vectors);
  EXPECT_EQ(got->records.fields[1].field, "tokens");
  EXPECT_EQ(got->records.fields[1].offsets, offsets);
  EXPECT_EQ(ToFloats(got->records.fields[1].vectors.view()), tokens);
}

TEST_F(ClientTest, OffsetsMustFitTheVectorsAndTheIds) {
  ASSERT_TRUE(client_->CreateNamespace({.name = "a", .fields = {{.dimension = 1}}}).ok());
  const std::vector<uint64_t> ids = {1, 2, 3};
  const std::vector<float> vectors(5);
  const auto refused = [&](const std::vector<uint64_t>& offsets) {
    const absl::Status status = client_
                                    ->Upsert("a", {.ids = absl::MakeConstSpan(ids),
                                                   .vectors = View(vectors, 1),
                                                   .field = "f",
                                                   .offsets = offsets})
                                    .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_EQ(refused({}), "a batch has 3 ids and 5 vectors in field f");
  EXPECT_EQ(refused({0, 5}),
            "a batch of 3 records has 2 offsets for field f, wanted one more than records");
  EXPECT_EQ(refused({0, 1, 2, 4}),
            "the offsets of field f go from 0 to 4, wanted 0 to 5, its vectors");
  EXPECT_EQ(refused({0, 3, 2, 5}), "the offsets of field f fall from 3 to 2 at record 1");
}

TEST_F(ClientTest, IndexingIsWatchedToItsEnd) {
  ASSERT_TRUE(Fill(*client_, "a", 10).ok());
  std::vector<uint64_t> indexed;
  const absl::Status status = client_->WatchIndexing("a", [&](const IndexingProgress& progress) {
    EXPECT_EQ(progress.total_rows, 10);
    indexed.push_back(progress.indexed_rows);
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(indexed, ElementsAre(5, 10));
}

TEST_F(ClientTest, UpkeepIsAskedForByName) {
  ASSERT_TRUE(Fill(*client_, "a", 3).ok());
  EXPECT_TRUE(client_->Flush("a").ok());
  EXPECT_TRUE(client_->Compact("a", /*wait=*/true).ok());
  EXPECT_EQ(client_->Flush("b").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(client_->Compact("b", /*wait=*/false).code(), absl::StatusCode::kNotFound);
}

TEST_F(ClientTest, StatsAreOfTheServerAndOfANamespaceThatIsNamed) {
  ASSERT_TRUE(Fill(*client_, "a", 10).ok());
  const auto server = client_->Stats();
  ASSERT_TRUE(server.ok());
  EXPECT_EQ(server->version, "fake");
  EXPECT_EQ(server->uptime, absl::Seconds(90));
  EXPECT_FALSE(server->of_namespace.has_value());
  const auto one = client_->Stats("a");
  ASSERT_TRUE(one.ok() && one->of_namespace.has_value());
  EXPECT_EQ(one->of_namespace->records, 10);
}

// Outcomes of asynchronous calls, in any order, as futures.
template <typename Result>
struct Promised {
  std::shared_ptr<std::promise<absl::StatusOr<Result>>> promise =
      std::make_shared<std::promise<absl::StatusOr<Result>>>();
  std::future<absl::StatusOr<Result>> future = promise->get_future();

  Done<Result> done() {
    return [promise = promise](absl::StatusOr<Result> result) {
      promise->set_value(std::move(result));
    };
  }
};

TEST_F(ClientTest, ManyAsynchronousCallsAreUnderWayAtATime) {
  ASSERT_TRUE(Fill(*client_, "a", 100).ok());
  std::vector<Promised<SearchResult>> searches(100);
  for (size_t i = 0; i < searches.size(); ++i) {
    const std::vector<float> query(2, static_cast<float>(i));  // gone before the answer comes
    client_->SearchAsync("a", View(query, 2), searches[i].done(), {.k = 1});
  }
  for (size_t i = 0; i < searches.size(); ++i) {
    const auto found = searches[i].future.get();
    ASSERT_TRUE(found.ok()) << found.status();
    ASSERT_EQ(found->hits.size(), 1);
    EXPECT_EQ(std::get<uint64_t>(found->hits[0].id), i);
  }
  Promised<UpsertResult> upsert;
  client_->UpsertAsync("a",
                       {.ids = absl::MakeConstSpan(std::vector<uint64_t>{500}),
                        .vectors = View(std::vector<float>{1, 2}, 2)},
                       upsert.done());
  const auto written = upsert.future.get();
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->records_written, 1);
  EXPECT_EQ(client_->Count("a")->count, 101);
}

TEST_F(ClientTest, AnAsynchronousCallThatFailsSaysWhy) {
  const std::vector<float> query = {1, 2};
  Promised<SearchResult> missing, wrong, cancelled;
  client_->SearchAsync("none", View(query, 2), missing.done());
  EXPECT_EQ(missing.future.get().status().code(), absl::StatusCode::kNotFound);
  client_->SearchAsync("none", {}, wrong.done());
  EXPECT_EQ(wrong.future.get().status().code(), absl::StatusCode::kInvalidArgument);
  client_->CancelAll();
  client_->SearchAsync("none", View(query, 2), cancelled.done());
  EXPECT_EQ(cancelled.future.get().status().code(), absl::StatusCode::kCancelled);
}

TEST_F(ClientTest, AClientThatEndsWaitsForItsAsynchronousCalls) {
  ASSERT_TRUE(Fill(*client_, "a", 10).ok());
  const std::vector<float> query = {3, 3};
  for (int i = 0; i < 50; ++i) {
    auto client = *Client::Connect(server_.target());
    std::vector<Promised<SearchResult>> searches(5);
    for (auto& search : searches) client->SearchAsync("a", View(query, 2), search.done());
    const bool cancel = i % 2 == 1;
    if (cancel) client->CancelAll();
    client.reset();
    for (auto& search : searches) {
      ASSERT_EQ(search.future.wait_for(std::chrono::seconds(0)), std::future_status::ready);
      const auto found = search.future.get();
      EXPECT_TRUE(found.ok() || (cancel && absl::IsCancelled(found.status()))) << found.status();
    }
  }
}

TEST_F(ClientTest, NothingGoesAfterCancelAll) {
  client_->CancelAll();
  EXPECT_EQ(client_->Count("a").status().code(), absl::StatusCode::kCancelled);
}

// A scan that breaks after every second page.
TEST(ScannerTest, AScanThatBreaksResumesWhereItWas) {
  FakeServer server({.scan_page = 7, .scan_pages_per_stream = 2});
  const auto client = *Client::Connect(server.target());
  ASSERT_TRUE(Fill(*client, "a", 100).ok());
  Scanner scanner = client->Scan("a", {.include_vectors = true});
  std::vector<uint64_t> ids;
  Records page;
  for (;;) {
    const auto more = scanner.Next(&page);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    const auto& numbers = std::get<std::vector<uint64_t>>(page.ids);
    EXPECT_EQ(page.vectors.rows, numbers.size());
    ids.insert(ids.end(), numbers.begin(), numbers.end());
  }
  std::vector<uint64_t> wanted(100);
  std::iota(wanted.begin(), wanted.end(), 0);
  EXPECT_EQ(ids, wanted);
}

TEST(ScannerTest, AScanGoesOnFromAToken) {
  FakeServer server({.scan_page = 10});
  const auto client = *Client::Connect(server.target());
  ASSERT_TRUE(Fill(*client, "a", 30).ok());
  Records page;
  Scanner first = client->Scan("a");
  ASSERT_TRUE(*first.Next(&page));
  EXPECT_EQ(page.vectors.rows, 0);
  Scanner second = client->Scan("a", {.token = first.token()});
  ASSERT_TRUE(*second.Next(&page));
  EXPECT_EQ(At(page.ids, 0), Id(uint64_t{10}));
}

TEST(ScannerTest, AScanThatNeverBeganFailsAtOnce) {
  FakeServer server;
  const auto client = *Client::Connect(server.target());
  Records page;
  EXPECT_EQ(client->Scan("a").Next(&page).status().code(), absl::StatusCode::kNotFound);
  server.Stop();
  EXPECT_EQ(client->Scan("a").Next(&page).status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace varve::client
