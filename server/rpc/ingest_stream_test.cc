#include "server/rpc/ingest_stream.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
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
using testing::StartsWith;

class IngestStreamTest : public ServerFixture {
 protected:
  void SetUp() override {
    Start();
    CreateNamespace("docs");
  }

  // Ingests batches 1..count of ten records each and takes the acknowledgements.
  void IngestBatches(IngestClient* client, uint64_t first, uint64_t last) {
    for (uint64_t number = first; number <= last; ++number) {
      ASSERT_TRUE(client->Send(number, MakeRecords(number * 10, 10)));
      ASSERT_EQ(client->ReadAck().number(), number);
    }
  }

  // How a stream ends on which `records` is the only batch.
  grpc::Status EndOf(const v1::RecordBatch& records) {
    IngestClient client(ingest_.get());
    client.Open("docs");
    client.Send(1, records);
    return client.Finish();
  }
};

v1::Tensor* TensorOf(v1::RecordBatch* batch) { return batch->mutable_fields(0)->mutable_dense(); }

// Replaces one element of a row.
void Poke(v1::RecordBatch* batch, size_t row, float value) {
  TensorOf(batch)->mutable_data()->replace(row * kDimension * sizeof(float), sizeof(float),
                                           reinterpret_cast<const char*>(&value), sizeof(float));
}

TEST_F(IngestStreamTest, OpeningTellsThePositionAndTheLimits) {
  IngestClient client(ingest_.get());
  const v1::IngestOpened opened = client.Open("docs", "loader");
  EXPECT_EQ(opened.last_batch(), 0);
  EXPECT_EQ(opened.window_batches(), 16);
  EXPECT_EQ(opened.window_bytes(), 16 << 20);
  EXPECT_EQ(opened.max_message_bytes(), 64 << 20);
  client.HalfClose();
  EXPECT_THAT(client.Finish(), IsOk());
}

TEST_F(IngestStreamTest, BatchesAreAcknowledgedInOrderAndSearchableAtOnce) {
  IngestClient client(ingest_.get());
  client.Open("docs", "loader");
  for (uint64_t number = 1; number <= 40; ++number) {
    ASSERT_TRUE(client.Send(number, MakeRecords(number * 10, 10)));
  }
  uint64_t sequence = 0;
  for (uint64_t number = 1; number <= 40; ++number) {
    const v1::IngestAck ack = client.ReadAck();
    ASSERT_EQ(ack.number(), number);
    EXPECT_GT(ack.sequence(), sequence);
    EXPECT_EQ(ack.records_written(), 10);
    EXPECT_EQ(ack.durability(), v1::DURABILITY_APPLIED);
    EXPECT_FALSE(ack.duplicate());
    sequence = ack.sequence();
  }
  v1::SearchRequest search;
  search.set_namespace_("docs");
  *search.mutable_query() = MakeQuery(407);
  search.mutable_options()->set_k(1);
  search.mutable_options()->set_min_sequence(sequence);
  grpc::ClientContext context;
  v1::SearchResponse found;
  ASSERT_THAT(query_->Search(&context, search, &found), IsOk());
  EXPECT_EQ(found.hits(0).id().number(), 407);
  client.HalfClose();
  EXPECT_THAT(client.Finish(), IsOk());
}

TEST_F(IngestStreamTest, AProducerResumesWhereItWas) {
  {
    IngestClient client(ingest_.get());
    client.Open("docs", "loader");
    IngestBatches(&client, 1, 3);
    client.Cancel();
  }
  IngestClient client(ingest_.get());
  EXPECT_EQ(client.Open("docs", "loader").last_batch(), 3);
  IngestBatches(&client, 4, 5);
  EXPECT_EQ(Count("docs"), 50);
}

TEST_F(IngestStreamTest, PositionsSurviveARestart) {
  {
    IngestClient client(ingest_.get());
    client.Open("docs", "loader");
    IngestBatches(&client, 1, 3);
  }
  EXPECT_TRUE(Stop());
  Start();
  IngestClient client(ingest_.get());
  EXPECT_EQ(client.Open("docs", "loader").last_batch(), 3);
  EXPECT_EQ(client.Open("docs", "loader").last_batch(), 0);  // `open` twice ends the stream
  EXPECT_EQ(Count("docs"), 30);
}

TEST_F(IngestStreamTest, ABatchSentAgainIsADuplicateAndChangesNothing) {
  IngestClient client(ingest_.get());
  client.Open("docs", "loader");
  IngestBatches(&client, 1, 2);
  ASSERT_TRUE(client.Send(2, MakeRecords(500, 10)));
  const v1::IngestAck ack = client.ReadAck();
  EXPECT_EQ(ack.number(), 2);
  EXPECT_TRUE(ack.duplicate());
  EXPECT_EQ(ack.records_written(), 0);
  EXPECT_EQ(Count("docs"), 20);
}

TEST_F(IngestStreamTest, AGapEndsTheStreamAndNamesTheNumberWanted) {
  IngestClient client(ingest_.get());
  client.Open("docs", "loader");
  IngestBatches(&client, 1, 2);
  client.Send(5, MakeRecords(0, 1));
  const grpc::Status status = client.Finish();
  EXPECT_THAT(status, StatusIs(grpc::StatusCode::FAILED_PRECONDITION,
                               AllOf(StartsWith("batch 5: "), HasSubstr("3"))));
  EXPECT_EQ(ErrorMetadata(status, "batch"), "5");
}

TEST_F(IngestStreamTest, WithoutAProducerEveryStreamCountsFromOne) {
  for (int stream = 0; stream < 2; ++stream) {
    IngestClient client(ingest_.get());
    EXPECT_EQ(client.Open("docs").last_batch(), 0);
    IngestBatches(&client, 1, 2);
    client.Send(4, MakeRecords(0, 1));
    EXPECT_THAT(client.Finish(), StatusIs(grpc::StatusCode::FAILED_PRECONDITION,
                                          "batch 4: the next batch of this stream is 3"));
  }
}

TEST_F(IngestStreamTest, ABadBatchNamesItsRowAndLeavesEarlierOnes) {
  IngestClient client(ingest_.get());
  client.Open("docs", "loader");
  for (uint64_t number = 1; number <= 5; ++number) {
    v1::RecordBatch records = MakeRecords(number * 10, 10);
    if (number == 4) Poke(&records, 6, std::numeric_limits<float>::quiet_NaN());
    client.Send(number, records);
  }
  for (uint64_t number = 1; number <= 3; ++number) EXPECT_EQ(client.ReadAck().number(), number);
  EXPECT_EQ(client.ReadAck().number(), 0);
  const grpc::Status status = client.Finish();
  EXPECT_THAT(status, StatusIs(grpc::StatusCode::INVALID_ARGUMENT, StartsWith("batch 4: row 6: ")));
  EXPECT_EQ(ErrorMetadata(status, "batch"), "4");
  EXPECT_EQ(ErrorMetadata(status, "row"), "6");
  EXPECT_EQ(Count("docs"), 30);
  IngestClient again(ingest_.get());
  EXPECT_EQ(again.Open("docs", "loader").last_batch(), 3);
}

TEST_F(IngestStreamTest, WithSkipTheGoodRowsOfABatchAreWritten) {
  v1::IngestOpen open;
  open.set_namespace_("docs");
  open.set_on_error(v1::ON_ERROR_SKIP);
  IngestClient client(ingest_.get());
  client.Open(open);
  v1::RecordBatch records = MakeRecords(0, 10);
  Poke(&records, 3, std::numeric_limits<float>::infinity());
  records.mutable_ids()->mutable_numbers()->set_values(8, 9);  // as row 9
  client.Send(1, records);
  const v1::IngestAck ack = client.ReadAck();
  EXPECT_EQ(ack.records_written(), 8);
  EXPECT_THAT(ack.superseded_rows(), ElementsAre(8));
  ASSERT_EQ(ack.row_errors_size(), 1);
  EXPECT_EQ(ack.row_errors(0).row(), 3);
  EXPECT_THAT(ack.row_errors(0).message(), HasSubstr("finite"));
  EXPECT_EQ(Count("docs"), 8);
}

TEST_F(IngestStreamTest, SyncedAcknowledgementsComeInOrderToo) {
  v1::IngestOpen open;
  open.set_namespace_("docs");
  open.set_producer("loader");
  open.set_durability(v1::DURABILITY_SYNCED);
  IngestClient client(ingest_.get());
  client.Open(open);
  for (uint64_t number = 1; number <= 30; ++number) {
    ASSERT_TRUE(client.Send(number, MakeRecords(number, 1)));
  }
  client.HalfClose();
  for (uint64_t number = 1; number <= 30; ++number) {
    const v1::IngestAck ack = client.ReadAck();
    ASSERT_EQ(ack.number(), number);
    EXPECT_EQ(ack.durability(), v1::DURABILITY_SYNCED);
  }
  EXPECT_THAT(client.Finish(), IsOk());
}

TEST_F(IngestStreamTest, AnErrorWaitsForTheSyncOfWhatCameBefore) {
  v1::IngestOpen open;
  open.set_namespace_("docs");
  open.set_durability(v1::DURABILITY_SYNCED);
  IngestClient client(ingest_.get());
  client.Open(open);
  client.Send(1, MakeRecords(1, 1));
  client.Send(2, v1::RecordBatch());
  EXPECT_EQ(client.ReadAck().number(), 1);
  EXPECT_EQ(client.ReadAck().number(), 0);
  EXPECT_THAT(client.Finish(), StatusIs(grpc::StatusCode::INVALID_ARGUMENT, StartsWith("batch 2")));
}

TEST_F(IngestStreamTest, ABatchLargerThanTheWindowGoesThrough) {
  constexpr uint32_t kWide = 65'000;
  CreateNamespace("wide", {}, kWide);
  IngestClient client(ingest_.get());
  client.Open("wide");
  const v1::RecordBatch records = MakeRecords(0, 70, kWide);
  ASSERT_GT(records.ByteSizeLong(), kWindowBytes);
  for (uint64_t number = 1; number <= 3; ++number) {
    ASSERT_TRUE(client.Send(number, records));
    ASSERT_EQ(client.ReadAck().records_written(), 70);
  }
}

TEST_F(IngestStreamTest, TheFirstMessageMustOpen) {
  IngestClient client(ingest_.get());
  client.Send(1, MakeRecords(0, 1));
  EXPECT_THAT(client.Finish(), StatusIs(grpc::StatusCode::INVALID_ARGUMENT,
                                        "the first message of a stream must be `open`"));
  IngestClient nothing(ingest_.get());
  nothing.Send(v1::IngestRequest());
  EXPECT_THAT(nothing.Finish(), StatusIs(grpc::StatusCode::INVALID_ARGUMENT, _));
}

TEST_F(IngestStreamTest, AStreamThatEndsUnopenedIsToldSo) {
  IngestClient client(ingest_.get());
  client.HalfClose();
  EXPECT_THAT(client.Finish(), StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr("open")));
}

TEST_F(IngestStreamTest, OpeningTwiceIsRefused) {
  IngestClient client(ingest_.get());
  client.Open("docs");
  client.Open("docs");
  EXPECT_THAT(client.Finish(), StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr("`batch`")));
}

TEST_F(IngestStreamTest, WhatOpenAsksForIsChecked) {
  v1::IngestOpen unknown;
  unknown.set_namespace_("nowhere");
  v1::IngestOpen long_name;
  long_name.set_namespace_("docs");
  long_name.set_producer(std::string(257, 'p'));
  v1::IngestOpen durability;
  durability.set_namespace_("docs");
  durability.set_durability(static_cast<v1::Durability>(9));
  v1::IngestOpen on_error;
  on_error.set_namespace_("docs");
  on_error.set_on_error(static_cast<v1::OnError>(9));
  const std::tuple<v1::IngestOpen, grpc::StatusCode, std::string> cases[] = {
      {unknown, grpc::StatusCode::NOT_FOUND, "\"nowhere\""},
      {long_name, grpc::StatusCode::INVALID_ARGUMENT, "open.producer must be at most 256"},
      {durability, grpc::StatusCode::INVALID_ARGUMENT, "durability must be"},
      {on_error, grpc::StatusCode::INVALID_ARGUMENT, "on_error must be"},
  };
  for (const auto& [open, code, message] : cases) {
    IngestClient client(ingest_.get());
    client.Open(open);
    EXPECT_THAT(client.Finish(), StatusIs(code, HasSubstr(message)));
  }
}

TEST_F(IngestStreamTest, TensorsThatLieAreRefused) {
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  v1::RecordBatch overflow = MakeRecords(0, 2);
  TensorOf(&overflow)->set_shape(0, uint64_t{1} << 60);
  v1::RecordBatch claim = MakeRecords(0, 2);
  TensorOf(&claim)->set_shape(1, kHuge);
  v1::RecordBatch truncated = MakeRecords(0, 2);
  TensorOf(&truncated)->mutable_data()->pop_back();
  v1::RecordBatch more_ids = MakeRecords(0, 2);
  more_ids.mutable_ids()->mutable_numbers()->add_values(9);
  v1::RecordBatch dimension = MakeRecords(0, 2);
  TensorOf(&dimension)->set_shape(0, 4);
  TensorOf(&dimension)->set_shape(1, 2);
  v1::RecordBatch no_field = MakeRecords(0, 2);
  no_field.clear_fields();
  v1::RecordBatch other_field = MakeRecords(0, 2);
  other_field.mutable_fields(0)->set_field("title");
  for (const v1::RecordBatch* records :
       {&overflow, &claim, &truncated, &more_ids, &dimension, &no_field, &other_field}) {
    EXPECT_THAT(EndOf(*records),
                StatusIs(grpc::StatusCode::INVALID_ARGUMENT, StartsWith("batch 1: ")));
  }
  EXPECT_EQ(Count("docs"), 0);
}

TEST_F(IngestStreamTest, ABatchNumberedZeroIsRefused) {
  IngestClient client(ingest_.get());
  client.Open("docs", "loader");
  client.Send(0, MakeRecords(0, 1));
  EXPECT_THAT(client.Finish(),
              StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr("must be 1 or more")));
}

TEST_F(IngestStreamTest, AMessageThatDoesNotParseIsAnErrorNotTheEnd) {
  grpc::GenericStub stub(channel_);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  auto call = stub.PrepareCall(&context, "/varve.v1.IngestService/Ingest", &queue);
  call->StartCall(nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  const grpc::Slice garbage("\xff\xff\xff\xff");
  call->Write(grpc::ByteBuffer(&garbage, 1), nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  grpc::Status status;
  call->Finish(&status, nullptr);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  EXPECT_THAT(status, StatusIs(grpc::StatusCode::INVALID_ARGUMENT,
                               HasSubstr("not a varve.v1.IngestRequest")));
}

TEST_F(IngestStreamTest, ADeletedNamespaceEndsItsStreams) {
  IngestClient client(ingest_.get());
  client.Open("docs", "loader");
  IngestBatches(&client, 1, 1);
  v1::DeleteNamespaceRequest request;
  request.set_name("docs");
  grpc::ClientContext context;
  v1::DeleteNamespaceResponse response;
  ASSERT_THAT(namespaces_->DeleteNamespace(&context, request, &response), IsOk());
  client.Send(2, MakeRecords(0, 1));
  EXPECT_THAT(client.Finish(), StatusIs(grpc::StatusCode::NOT_FOUND, StartsWith("batch 2: ")));
}

TEST_F(IngestStreamTest, IngestWaitsForTheIndexAndCompletes) {
  v1::IndexOptions index;
  index.set_max_unindexed_rows(1000);
  CreateNamespace("narrow", index);
  IngestClient client(ingest_.get());
  client.Open("narrow");
  for (uint64_t number = 1; number <= 20; ++number) {
    ASSERT_TRUE(client.Send(number, MakeRecords(number * 1000, 1000)));
    ASSERT_EQ(client.ReadAck().number(), number);
  }
  EXPECT_EQ(Count("narrow"), 20'000);
}

TEST_F(IngestStreamTest, AStreamThatIsCancelledLeavesNothingBehind) {
  for (int i = 0; i < 20; ++i) {
    IngestClient client(ingest_.get());
    client.Open("docs");
    for (uint64_t number = 1; number <= 10; ++number) client.Send(number, MakeRecords(0, 1000));
    client.Cancel();
    EXPECT_THAT(client.Finish(), StatusIs(grpc::StatusCode::CANCELLED, _));
  }
  EXPECT_TRUE(Stop());
}

TEST_F(IngestStreamTest, ADeadlineEndsAStream) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  auto stream = ingest_->Ingest(&context);
  v1::IngestResponse response;
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_THAT(stream->Finish(), StatusIs(grpc::StatusCode::DEADLINE_EXCEEDED, _));
  EXPECT_TRUE(Stop());
}

class NarrowServerTest : public ServerFixture {
 protected:
  void SetUp() override {
    options_.max_message_bytes = 1 << 20;
    options_.ingest_budget_bytes = 1 << 20;
    Start();
    CreateNamespace("docs");
  }
};

TEST_F(NarrowServerTest, AMessageBeyondTheLimitIsRefusedByName) {
  IngestClient client(ingest_.get());
  EXPECT_EQ(client.Open("docs").max_message_bytes(), 1 << 20);
  client.Send(1, MakeRecords(0, 100));
  EXPECT_EQ(client.ReadAck().number(), 1);
  client.Send(2, MakeRecords(0, 50'000));
  EXPECT_THAT(client.Finish(),
              StatusIs(grpc::StatusCode::RESOURCE_EXHAUSTED, HasSubstr("larger than max")));
  EXPECT_EQ(Count("docs"), 100);
}

TEST_F(NarrowServerTest, AnAcknowledgementMayListManyRows) {
  constexpr int kRows = 40'000;
  v1::RecordBatch records = MakeRecords(7, kRows);
  for (uint64_t& id : *records.mutable_ids()->mutable_numbers()->mutable_values()) id = 7;
  IngestClient client(ingest_.get());
  client.Open("docs");
  for (uint64_t number = 1; number <= 3; ++number) {
    ASSERT_TRUE(client.Send(number, records));
    const v1::IngestAck ack = client.ReadAck();
    EXPECT_EQ(ack.records_written(), 1);
    EXPECT_EQ(ack.superseded_rows_size(), kRows - 1);
  }
  EXPECT_EQ(Count("docs"), 1);
}

TEST_F(NarrowServerTest, StreamsShareASmallBudgetAndAllComplete) {
  constexpr int kStreams = 8;
  constexpr uint64_t kBatches = 6;
  constexpr uint32_t kWide = 10'000;
  CreateNamespace("wide", {}, kWide);
  std::vector<std::unique_ptr<IngestClient>> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<IngestClient>(ingest_.get()));
    clients.back()->Open("wide", "loader-" + std::to_string(i));
  }
  // Some 800 kB each: no two fit, and every client sends ahead.
  std::vector<std::thread> threads;
  for (int i = 0; i < kStreams; ++i) {
    threads.emplace_back([client = clients[i].get(), i] {
      for (uint64_t number = 1; number <= kBatches; ++number) {
        client->Send(number, MakeRecords(i * 100, 20, kWide));
      }
      client->HalfClose();
    });
  }
  for (auto& client : clients) {
    for (uint64_t number = 1; number <= kBatches; ++number) {
      EXPECT_EQ(client->ReadAck().number(), number);
    }
    EXPECT_THAT(client->Finish(), IsOk());
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Count("wide"), kStreams * 20);
}

// --- The unary calls. ---

TEST_F(IngestStreamTest, AnUpsertReplacesAndADeleteRemoves) {
  EXPECT_EQ(Upsert("docs", MakeRecords(0, 10)), 1);
  EXPECT_EQ(Upsert("docs", MakeRecords(5, 10)), 2);
  EXPECT_EQ(Count("docs"), 15);
  v1::DeleteRequest request;
  request.set_namespace_("docs");
  request.set_durability(v1::DURABILITY_SYNCED);
  for (uint64_t id : {3, 4, 99}) request.mutable_ids()->mutable_numbers()->add_values(id);
  grpc::ClientContext context;
  v1::DeleteResponse response;
  ASSERT_THAT(ingest_->Delete(&context, request, &response), IsOk());
  EXPECT_EQ(response.records_deleted(), 2);
  EXPECT_EQ(response.sequence(), 3);
  EXPECT_EQ(response.durability(), v1::DURABILITY_SYNCED);
  EXPECT_EQ(Count("docs"), 13);
}

TEST_F(IngestStreamTest, AnUpsertReportsItsRows) {
  v1::UpsertRequest request;
  request.set_namespace_("docs");
  request.set_on_error(v1::ON_ERROR_SKIP);
  request.set_durability(v1::DURABILITY_SYNCED);
  *request.mutable_records() = MakeRecords(0, 3);
  Poke(request.mutable_records(), 1, std::nanf(""));
  grpc::ClientContext context;
  v1::UpsertResponse response;
  ASSERT_THAT(ingest_->Upsert(&context, request, &response), IsOk());
  EXPECT_EQ(response.records_written(), 2);
  EXPECT_EQ(response.row_errors(0).row(), 1);
  EXPECT_EQ(response.durability(), v1::DURABILITY_SYNCED);
}

TEST_F(IngestStreamTest, UnaryWritesCheckWhatTheyAreGiven) {
  v1::UpsertRequest upsert;
  upsert.set_namespace_("docs");
  v1::UpsertResponse upserted;
  {
    grpc::ClientContext context;
    EXPECT_THAT(ingest_->Upsert(&context, upsert, &upserted),
                StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr("records.ids")));
  }
  upsert.set_namespace_("nowhere");
  {
    grpc::ClientContext context;
    EXPECT_THAT(ingest_->Upsert(&context, upsert, &upserted),
                StatusIs(grpc::StatusCode::NOT_FOUND, HasSubstr("nowhere")));
  }
  v1::DeleteRequest request;
  request.set_namespace_("docs");
  v1::DeleteResponse deleted;
  grpc::ClientContext context;
  EXPECT_THAT(ingest_->Delete(&context, request, &deleted),
              StatusIs(grpc::StatusCode::INVALID_ARGUMENT,
                       HasSubstr("filter must be set where ids are not")));
}

}  // namespace
}  // namespace varve::server
