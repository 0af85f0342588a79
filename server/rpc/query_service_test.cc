#include "server/rpc/query_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/rpc/server_fixture.h"

namespace varve::server {
namespace {

using testing::_;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

auto In(std::chrono::milliseconds delay) { return std::chrono::system_clock::now() + delay; }

class QueryServiceTest : public ServerFixture {
 protected:
  void SetUp() override {
    Start();
    CreateNamespace("docs");
    sequence_ = Upsert("docs", MakeRecords(0, 100));
  }

  static v1::SearchRequest SearchFor(uint64_t id, uint32_t k) {
    v1::SearchRequest request;
    request.set_namespace_("docs");
    *request.mutable_query() = MakeQuery(id);
    request.mutable_options()->set_k(k);
    return request;
  }

  grpc::Status Search(const v1::SearchRequest& request, v1::SearchResponse* response) {
    grpc::ClientContext context;
    return query_->Search(&context, request, response);
  }

  grpc::Status Get(const v1::GetRequest& request, v1::GetResponse* response) {
    grpc::ClientContext context;
    return query_->Get(&context, request, response);
  }

  uint64_t sequence_ = 0;
};

v1::SearchBatchRequest BatchFor(std::initializer_list<uint64_t> ids, uint32_t k) {
  v1::SearchBatchRequest request;
  request.set_namespace_("docs");
  request.mutable_options()->set_k(k);
  v1::Tensor* queries = request.mutable_queries();
  queries->set_dtype(v1::DTYPE_F32);
  queries->add_shape(ids.size());
  queries->add_shape(kDimension);
  for (uint64_t id : ids) queries->mutable_data()->append(MakeQuery(id).data());
  return request;
}

TEST_F(QueryServiceTest, TheNearestComeFirst) {
  for (bool exact : {false, true}) {
    v1::SearchRequest request = SearchFor(50, 3);
    request.mutable_options()->set_exact(exact);
    v1::SearchResponse response;
    ASSERT_THAT(Search(request, &response), IsOk());
    ASSERT_EQ(response.hits_size(), 3);
    EXPECT_EQ(response.hits(0).id().number(), 50);
    EXPECT_EQ(response.hits(0).distance(), 0);
    EXPECT_EQ(response.hits(1).distance(), 1);
    EXPECT_EQ(response.hits(0).fields_size(), 0);
    EXPECT_EQ(response.sequence(), sequence_);
  }
}

TEST_F(QueryServiceTest, VectorsComeAlongWhenAskedFor) {
  v1::SearchRequest request = SearchFor(7, 1);
  request.mutable_options()->set_include_vectors(true);
  v1::SearchResponse response;
  ASSERT_THAT(Search(request, &response), IsOk());
  const v1::Tensor& tensor = response.hits(0).fields(0).dense();
  EXPECT_THAT(tensor.shape(), ElementsAre(1, kDimension));
  EXPECT_EQ(tensor.data(), MakeQuery(7).data());
}

TEST_F(QueryServiceTest, SearchesAreChecked) {
  v1::SearchRequest k = SearchFor(0, 0);
  v1::SearchRequest large_k = SearchFor(0, 10'001);
  v1::SearchRequest ef = SearchFor(0, 1);
  ef.mutable_options()->set_ef_search(10'001);
  v1::SearchRequest field = SearchFor(0, 1);
  field.mutable_options()->set_field("title");
  v1::SearchRequest dimension = SearchFor(0, 1);
  dimension.mutable_query()->set_shape(0, 3);
  dimension.mutable_query()->mutable_data()->resize(12);
  v1::SearchRequest matrix = SearchFor(0, 1);
  matrix.mutable_query()->add_shape(1);
  v1::SearchRequest empty;
  empty.set_namespace_("docs");
  for (const auto& [request, message] : {std::pair{k, "k must be"},
                                         {large_k, "k must be"},
                                         {ef, "ef_search must be"},
                                         {field, "title"},
                                         {dimension, "dimension"},
                                         {matrix, "query.shape"},
                                         {empty, "query.shape"}}) {
    v1::SearchResponse response;
    EXPECT_THAT(Search(request, &response),
                StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr(message)));
  }
  v1::SearchRequest nowhere = SearchFor(0, 1);
  nowhere.set_namespace_("nowhere");
  v1::SearchResponse response;
  EXPECT_THAT(Search(nowhere, &response), StatusIs(grpc::StatusCode::NOT_FOUND, _));
}

TEST_F(QueryServiceTest, ABatchIsPackedQueryByQuery) {
  grpc::ClientContext context;
  v1::SearchBatchResponse response;
  ASSERT_THAT(query_->SearchBatch(&context, BatchFor({10, 99, 20}, 2), &response), IsOk());
  EXPECT_THAT(response.counts(), ElementsAre(2, 2, 2));
  ASSERT_EQ(response.ids().numbers().values_size(), 6);
  EXPECT_EQ(response.ids().numbers().values(0), 10);
  EXPECT_EQ(response.ids().numbers().values(2), 99);
  EXPECT_EQ(response.ids().numbers().values(4), 20);
  EXPECT_THAT(response.distances(), ElementsAre(0, 1, 0, 1, 0, 1));
  EXPECT_EQ(response.sequence(), sequence_);
}

TEST_F(QueryServiceTest, ABatchOfTooManyResultsIsRefused) {
  v1::SearchBatchRequest request = BatchFor({}, 10'000);
  request.mutable_queries()->set_shape(0, 401);
  request.mutable_queries()->mutable_data()->resize(401 * kDimension * sizeof(float));
  grpc::ClientContext context;
  v1::SearchBatchResponse response;
  EXPECT_THAT(query_->SearchBatch(&context, request, &response),
              StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED, HasSubstr("4000000")));
}

TEST_F(QueryServiceTest, ABatchGivesNoVectors) {
  v1::SearchBatchRequest request = BatchFor({1}, 1);
  request.mutable_options()->set_include_vectors(true);
  grpc::ClientContext context;
  v1::SearchBatchResponse response;
  EXPECT_THAT(query_->SearchBatch(&context, request, &response),
              StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr("include_vectors")));
}

TEST_F(QueryServiceTest, AStreamAnswersInOrder) {
  grpc::ClientContext context;
  auto stream = query_->SearchStream(&context);
  for (uint64_t id = 0; id < 50; ++id) {
    v1::SearchStreamRequest request;
    *request.mutable_search() = SearchFor(id, 1);
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  for (uint64_t id = 0; id < 50; ++id) {
    v1::SearchStreamResponse response;
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.result().hits(0).id().number(), id);
  }
  EXPECT_THAT(stream->Finish(), IsOk());
}

TEST_F(QueryServiceTest, AnErrorEndsAStreamOfSearches) {
  grpc::ClientContext context;
  auto stream = query_->SearchStream(&context);
  v1::SearchStreamRequest request;
  *request.mutable_search() = SearchFor(1, 0);
  stream->Write(request);
  v1::SearchStreamResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_THAT(stream->Finish(), StatusIs(grpc::StatusCode::INVALID_ARGUMENT, _));
}

TEST_F(QueryServiceTest, ASearchWaitsForTheCommitItMustSee) {
  v1::SearchRequest request = SearchFor(500, 1);
  request.mutable_options()->set_min_sequence(sequence_ + 1);
  v1::SearchResponse response;
  std::thread searcher([&] { EXPECT_THAT(Search(request, &response), IsOk()); });
  Upsert("docs", MakeRecords(500, 1));
  searcher.join();
  EXPECT_EQ(response.hits(0).id().number(), 500);
  EXPECT_EQ(response.sequence(), sequence_ + 1);
}

TEST_F(QueryServiceTest, ACommitThatDoesNotComeEndsTheWaitAtTheDeadline) {
  v1::CountRequest request;
  request.set_namespace_("docs");
  request.set_min_sequence(sequence_ + 7);
  grpc::ClientContext context;
  context.set_deadline(In(std::chrono::milliseconds(100)));
  v1::CountResponse response;
  EXPECT_THAT(query_->Count(&context, request, &response),
              StatusIs(grpc::StatusCode::DEADLINE_EXCEEDED, _));
}

TEST_F(QueryServiceTest, ACancelledWaitIsOver) {
  v1::SearchRequest request = SearchFor(1, 1);
  request.mutable_options()->set_min_sequence(sequence_ + 1);
  grpc::ClientContext context;
  std::thread canceller([&context] { context.TryCancel(); });
  v1::SearchResponse response;
  EXPECT_THAT(query_->Search(&context, request, &response),
              StatusIs(grpc::StatusCode::CANCELLED, _));
  canceller.join();
  EXPECT_TRUE(Stop());
}

TEST_F(QueryServiceTest, GetReturnsRecordsInTheOrderAskedForAndWhatIsMissing) {
  v1::GetRequest request;
  request.set_namespace_("docs");
  request.set_include_vectors(true);
  for (uint64_t id : {30, 1000, 10, 2000}) request.mutable_ids()->mutable_numbers()->add_values(id);
  v1::GetResponse response;
  ASSERT_THAT(Get(request, &response), IsOk());
  EXPECT_THAT(response.records().ids().numbers().values(), ElementsAre(30, 10));
  EXPECT_THAT(response.missing().numbers().values(), ElementsAre(1000, 2000));
  EXPECT_THAT(response.records().fields(0).dense().shape(), ElementsAre(2, kDimension));
  EXPECT_EQ(response.records().fields(0).dense().data(),
            MakeQuery(30).data() + MakeQuery(10).data());
}

TEST_F(QueryServiceTest, GetTakesTenThousandIdsAndNoMore) {
  v1::GetRequest request;
  request.set_namespace_("docs");
  request.mutable_ids()->mutable_numbers()->mutable_values()->Resize(10'000, 1);
  v1::GetResponse response;
  EXPECT_THAT(Get(request, &response), IsOk());
  request.mutable_ids()->mutable_numbers()->add_values(1);
  EXPECT_THAT(Get(request, &response),
              StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr("at most 10000")));
}

TEST_F(QueryServiceTest, IdsOfTheOtherTypeAreRefused) {
  v1::GetRequest request;
  request.set_namespace_("docs");
  request.mutable_ids()->mutable_texts()->add_values("7");
  v1::GetResponse response;
  EXPECT_THAT(Get(request, &response), StatusIs(grpc::StatusCode::INVALID_ARGUMENT, _));
}

class ScanTest : public QueryServiceTest {
 protected:
  // Ids of up to `messages` messages of a scan from `token` on; `token` becomes the last one given.
  std::vector<uint64_t> Scan(std::string* token, int messages) {
    v1::ScanRequest request;
    request.set_namespace_("docs");
    request.set_token(*token);
    request.set_include_vectors(true);
    grpc::ClientContext context;
    auto stream = query_->Scan(&context, request);
    std::vector<uint64_t> ids;
    v1::ScanResponse response;
    for (; messages > 0 && stream->Read(&response); --messages) {
      for (uint64_t id : response.records().ids().numbers().values()) {
        EXPECT_EQ(response.records().fields(0).dense().shape(1), kDimension);
        ids.push_back(id);
      }
      *token = response.next_token();
    }
    if (messages == 0) context.TryCancel();
    const grpc::Status status = stream->Finish();
    if (messages > 0) EXPECT_THAT(status, IsOk());
    return ids;
  }
};

TEST_F(ScanTest, ScansGiveEveryRecordInOrderOfIdAndResumeByToken) {
  Upsert("docs", MakeRecords(100, 19'900));
  std::vector<uint64_t> expected(20'000);
  for (uint64_t id = 0; id < expected.size(); ++id) expected[id] = id;
  std::string token;
  EXPECT_EQ(Scan(&token, 1000), expected);

  token.clear();
  std::vector<uint64_t> ids = Scan(&token, 2);
  EXPECT_LT(ids.size(), expected.size());
  for (uint64_t id : Scan(&token, 1000)) ids.push_back(id);
  EXPECT_EQ(ids, expected);
}

TEST_F(ScanTest, AnEmptyNamespaceScansToNothing) {
  v1::ScanRequest request;
  CreateNamespace("empty");
  request.set_namespace_("empty");
  grpc::ClientContext context;
  auto stream = query_->Scan(&context, request);
  v1::ScanResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_THAT(stream->Finish(), IsOk());
}

TEST_F(ScanTest, ATokenThatIsNoneIsRefused) {
  v1::ScanRequest request;
  request.set_namespace_("docs");
  request.set_token("\xff\xfe");
  grpc::ClientContext context;
  auto stream = query_->Scan(&context, request);
  v1::ScanResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_THAT(stream->Finish(), StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr("token")));
}

class BusyServerTest : public ServerFixture {
 protected:
  void SetUp() override {
    options_.max_calls = 1;
    options_.max_message_bytes = 1 << 20;
    options_.read_budget_bytes = 1 << 20;
    Start();
    CreateNamespace("docs");
    for (uint64_t id = 0; id < 10'000; id += 5000) Upsert("docs", MakeRecords(id, 5000));
  }
};

TEST_F(BusyServerTest, CallsBeyondTheLimitAreRefusedWithAHint) {
  // Two calls that wait for a commit that does not come: whichever is second is refused.
  v1::CountRequest request;
  request.set_namespace_("docs");
  request.set_min_sequence(1000);
  grpc::ClientContext contexts[2];
  std::promise<grpc::Status> refused;
  std::once_flag once;
  std::vector<std::thread> callers;
  for (grpc::ClientContext& context : contexts) {
    callers.emplace_back([&] {
      v1::CountResponse response;
      const grpc::Status status = query_->Count(&context, request, &response);
      std::call_once(once, [&] { refused.set_value(status); });
    });
  }
  const grpc::Status status = refused.get_future().get();
  for (grpc::ClientContext& context : contexts) context.TryCancel();
  for (std::thread& caller : callers) caller.join();
  EXPECT_THAT(status, StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED,
                               HasSubstr("limit of 1 calls at a time")));
  EXPECT_THAT(status.error_details(), HasSubstr("google.rpc.RetryInfo"));
}

TEST_F(BusyServerTest, AnAnswerBeyondTheLimitIsRefused) {
  v1::SearchBatchRequest batch;
  batch.set_namespace_("docs");
  batch.mutable_options()->set_k(10'000);
  batch.mutable_options()->set_exact(true);
  batch.mutable_queries()->set_dtype(v1::DTYPE_F32);
  batch.mutable_queries()->add_shape(10);
  batch.mutable_queries()->add_shape(kDimension);
  batch.mutable_queries()->mutable_data()->resize(10 * kDimension * sizeof(float));
  grpc::ClientContext batch_context;
  v1::SearchBatchResponse answer;
  EXPECT_THAT(query_->SearchBatch(&batch_context, batch, &answer),
              StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED,
                       AllOf(HasSubstr("1048576"), HasSubstr("ask for less"))));
}

TEST_F(BusyServerTest, VectorsBeyondTheLimitAreRefusedBeforeTheyAreRead) {
  CreateNamespace("wide", {}, 65'000);
  for (uint64_t id = 0; id < 6; id += 3) Upsert("wide", MakeRecords(id, 3, 65'000));
  v1::GetRequest request;
  request.set_namespace_("wide");
  request.set_include_vectors(true);
  for (uint64_t id = 0; id < 4; ++id) request.mutable_ids()->mutable_numbers()->add_values(id);
  grpc::ClientContext context;
  v1::GetResponse response;
  EXPECT_THAT(query_->Get(&context, request, &response), IsOk());
  request.mutable_ids()->mutable_numbers()->add_values(4);
  grpc::ClientContext other;
  EXPECT_THAT(query_->Get(&other, request, &response),
              StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED,
                       AllOf(HasSubstr("1300000 bytes"), HasSubstr("1048576"))));
}

}  // namespace
}  // namespace varve::server
