#include "clients/cpp/varve/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

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
