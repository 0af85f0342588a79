#include "clients/cpp/varve/ingest_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cpp/testing/cutting_proxy.h"
#include "clients/cpp/testing/fake_server.h"

namespace varve::client {
namespace {

using testing::CuttingProxy;
using ::testing::ElementsAreArray;
using testing::FakeServer;
using ::testing::HasSubstr;
using testing::IngestPoint;

constexpr size_t kDimension = 8;
constexpr size_t kRows = 4;

std::vector<uint64_t> Numbers(uint64_t first, uint64_t last) {
  std::vector<uint64_t> numbers;
  for (uint64_t i = first; i <= last; ++i) numbers.push_back(i);
  return numbers;
}

// A namespace on a fake server, and a record of what came back from it.
class IngestWriterTest : public ::testing::Test {
 protected:
  void SetUp() override { client_ = NewClient(server_.target()); }

  static std::unique_ptr<Client> NewClient(const std::string& target) {
    return *Client::Connect(target);
  }

  void MakeNamespace(const std::string& name) {
    ASSERT_TRUE(
        client_->CreateNamespace({.name = name, .fields = {{.dimension = kDimension}}}).ok());
  }

  IngestOptions Options(const std::string& name_space) {
    return {.name_space = name_space,
            .producer = "p",
            .give_up_after = absl::Seconds(60),
            .on_ack = [this](const IngestAck& ack) { acks_.push_back(ack.number); }};
  }

  // Batch `number` holds ids that no other has, and vectors that tell them apart.
  static absl::StatusOr<uint64_t> WriteBatch(IngestWriter& writer, uint64_t number) {
    std::vector<uint64_t> ids;
    std::vector<float> vectors;
    for (size_t i = 0; i < kRows; ++i) {
      ids.push_back(number * kRows + i);
      for (size_t j = 0; j < kDimension; ++j) vectors.push_back(ids.back() + 0.125f * j);
    }
    return writer.Write({.ids = absl::MakeConstSpan(ids), .vectors = View(vectors, kDimension)});
  }

  // Batches [1, last], through a writer that begins where the last one ended.
  absl::Status WriteAll(const Client& client, const std::string& name_space, uint64_t last) {
    auto writer = IngestWriter::Open(client, Options(name_space));
    if (!writer.ok()) return writer.status();
    for (uint64_t number = (*writer)->last_batch() + 1; number <= last; ++number) {
      const auto written = WriteBatch(**writer, number);
      if (!written.ok()) return written.status();
      EXPECT_EQ(*written, number);
    }
    return (*writer)->Finish();
  }

  // Every batch of [1, last] was applied once, in order, and all records are there.
  void ExpectCommittedOnce(const std::string& name_space, uint64_t last) {
    std::vector<uint64_t> commits;
    for (const auto& commit : server_.commits(name_space)) commits.push_back(commit.number);
    EXPECT_THAT(commits, ElementsAreArray(Numbers(1, last)));
    const auto count = client_->Count(name_space);
    ASSERT_TRUE(count.ok());
    EXPECT_EQ(count->count, last * kRows);
  }

  std::vector<uint64_t> acks_;  // of one writer at a time
  FakeServer server_;
  std::unique_ptr<Client> client_;
};

TEST_F(IngestWriterTest, EveryBatchIsCommittedAndAcknowledgedInOrder) {
  MakeNamespace("a");
  EXPECT_TRUE(WriteAll(*client_, "a", 20).ok());
  ExpectCommittedOnce("a", 20);
  EXPECT_THAT(acks_, ElementsAreArray(Numbers(1, 20)));
}

TEST_F(IngestWriterTest, ASecondWriterGoesOnWhereTheFirstEnded) {
  MakeNamespace("a");
  ASSERT_TRUE(WriteAll(*client_, "a", 5).ok());
  const auto writer = IngestWriter::Open(*client_, Options("a"));
  ASSERT_TRUE(writer.ok());
  EXPECT_EQ((*writer)->last_batch(), 5);
  EXPECT_EQ((*writer)->committed(), 5);
  EXPECT_EQ(*WriteBatch(**writer, 6), 6);
  EXPECT_TRUE((*writer)->Finish().ok());
  ExpectCommittedOnce("a", 6);
}

TEST_F(IngestWriterTest, AStreamThatEndsAtAnyPointInAnyWayLosesAndDoublesNothing) {
  constexpr uint64_t kBatches = 6;
  int runs = 0;
  for (const IngestPoint point : testing::kIngestPoints) {
    for (const grpc::StatusCode code :
         {grpc::UNAVAILABLE, grpc::CANCELLED, grpc::INTERNAL, grpc::RESOURCE_EXHAUSTED, grpc::OK}) {
      for (uint64_t batch = 1; batch <= kBatches; ++batch) {
        SCOPED_TRACE(
            absl::StrCat("point ", static_cast<int>(point), ", status ", code, ", batch ", batch));
        const std::string name = absl::StrCat("run", runs++);
        MakeNamespace(name);
        acks_.clear();
        bool struck = false;
        server_.set_ingest_fault(
            [&](IngestPoint at, uint64_t number) -> std::optional<grpc::Status> {
              if (at != point || number != batch || std::exchange(struck, true))
                return std::nullopt;
              return grpc::Status(code, "struck");
            });
        const absl::Status status = WriteAll(*client_, name, kBatches);
        server_.set_ingest_fault(nullptr);
        EXPECT_TRUE(status.ok()) << status;
        ExpectCommittedOnce(name, kBatches);
        EXPECT_THAT(acks_, ElementsAreArray(Numbers(1, kBatches)));
      }
    }
  }
}

TEST_F(IngestWriterTest, FaultsAtRandomPointsLoseAndDoubleNothing) {
  constexpr uint64_t kBatches = 40;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const std::string name = absl::StrCat("seed", seed);
    MakeNamespace(name);
    acks_.clear();
    std::mt19937 random(seed);
    server_.set_ingest_fault([&](IngestPoint, uint64_t) -> std::optional<grpc::Status> {
      if (random() % 20 != 0) return std::nullopt;
      return grpc::Status(random() % 2 == 0 ? grpc::UNAVAILABLE : grpc::CANCELLED, "struck");
    });
    const absl::Status status = WriteAll(*client_, name, kBatches);
    server_.set_ingest_fault(nullptr);
    EXPECT_TRUE(status.ok()) << status;
    ExpectCommittedOnce(name, kBatches);
    EXPECT_THAT(acks_, ElementsAreArray(Numbers(1, kBatches)));
  }
}

TEST_F(IngestWriterTest, AConnectionCutAtAnyByteLosesAndDoublesNothing) {
  constexpr uint64_t kBatches = 40;
  const uint16_t port = std::stoi(server_.target().substr(server_.target().find(':') + 1));
  size_t cuts = 0;
  for (uint32_t seed = 0; seed < 10; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    const std::string name = absl::StrCat("seed", seed);
    MakeNamespace(name);
    acks_.clear();
    std::mt19937 random(seed);
    CuttingProxy proxy(port, [&random] { return 200 + random() % 3'000; });
    const absl::Status status = WriteAll(*NewClient(proxy.target()), name, kBatches);
    EXPECT_TRUE(status.ok()) << status;
    ExpectCommittedOnce(name, kBatches);
    EXPECT_THAT(acks_, ElementsAreArray(Numbers(1, kBatches)));
    cuts += proxy.cuts();
  }
  EXPECT_GT(cuts, 30);
}

TEST_F(IngestWriterTest, AServerThatGoesAndComesBackIsFoundAgain) {
  MakeNamespace("a");
  auto options = Options("a");
  std::promise<void> disconnected;
  std::atomic<bool> told = false;
  options.on_disconnect = [&](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    if (!told.exchange(true)) disconnected.set_value();
  };
  const auto writer = IngestWriter::Open(*client_, options);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(WriteBatch(**writer, 1).ok());
  server_.Stop();
  ASSERT_TRUE(WriteBatch(**writer, 2).ok());
  disconnected.get_future().wait();
  server_.Restart();
  ASSERT_TRUE(WriteBatch(**writer, 3).ok());
  EXPECT_TRUE((*writer)->Finish().ok());
  ExpectCommittedOnce("a", 3);
}

TEST_F(IngestWriterTest, AServerThatStaysAwayEndsTheWriterWithWhatIsCommitted) {
  MakeNamespace("a");
  auto options = Options("a");
  options.give_up_after = absl::Milliseconds(300);
  std::promise<void> acknowledged;
  options.on_ack = [&](const IngestAck&) { acknowledged.set_value(); };
  const auto writer = IngestWriter::Open(*client_, options);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(WriteBatch(**writer, 1).ok());
  acknowledged.get_future().wait();
  server_.Stop();
  ASSERT_TRUE(WriteBatch(**writer, 2).ok());
  const absl::Status status = (*writer)->Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("after batch 1: gave up after 300ms: "));
  EXPECT_EQ((*writer)->committed(), 1);
}

TEST_F(IngestWriterTest, OpeningGivesUpWhenNobodyIsThere) {
  server_.Stop();
  auto options = Options("a");
  options.give_up_after = absl::Milliseconds(200);
  EXPECT_EQ(IngestWriter::Open(*client_, options).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(IngestWriterTest, OpeningAMissingNamespaceIsNotFoundAtOnce) {
  const auto writer = IngestWriter::Open(*client_, Options("nowhere"));
  EXPECT_EQ(writer.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(writer.status().message(), "namespace nowhere does not exist");
}

TEST_F(IngestWriterTest, AProducerNeedsAName) {
  auto options = Options("a");
  options.producer = "";
  EXPECT_EQ(IngestWriter::Open(*client_, options).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(IngestWriterTest, ARefusedBatchEndsTheWriterAndIsNamed) {
  MakeNamespace("a");
  server_.set_ingest_fault([](IngestPoint at, uint64_t number) -> std::optional<grpc::Status> {
    if (at != IngestPoint::kBeforeCommit || number != 4) return std::nullopt;
    return grpc::Status(grpc::INVALID_ARGUMENT, "row 2 is NaN");
  });
  const absl::Status status = WriteAll(*client_, "a", 10);
  EXPECT_EQ(status, absl::InvalidArgumentError("ingest ended after batch 3: row 2 is NaN"));
  EXPECT_THAT(acks_, ElementsAreArray(Numbers(1, 3)));
  ExpectCommittedOnce("a", 3);
}

TEST_F(IngestWriterTest, NoMoreBatchesAreAheadThanTheWindowAllows) {
  MakeNamespace("a");
  std::atomic<uint64_t> written = 0;
  server_.set_ingest_fault([&](IngestPoint at, uint64_t number) -> std::optional<grpc::Status> {
    // Batches below `number` may be acknowledged by now, no others; one more may be waiting for
    // room.
    if (at == IngestPoint::kBeforeCommit) EXPECT_LE(written, number - 1 + 4);
    return std::nullopt;
  });
  const auto writer = IngestWriter::Open(*client_, Options("a"));
  ASSERT_TRUE(writer.ok());
  for (uint64_t number = 1; number <= 200; ++number) {
    ASSERT_TRUE(WriteBatch(**writer, number).ok());
    written = number;
  }
  EXPECT_TRUE((*writer)->Finish().ok());
}

TEST_F(IngestWriterTest, ABatchThatIsTooLargeOrMisshapenIsRefusedAndTheWriterGoesOn) {
  MakeNamespace("a");
  auto options = Options("a");
  options.max_batch_bytes = 1'000;
  const auto writer = IngestWriter::Open(*client_, options);
  ASSERT_TRUE(writer.ok());
  const std::vector<uint64_t> ids(100);
  const std::vector<float> vectors(100 * kDimension);
  const absl::Status large =
      (*writer)
          ->Write({.ids = absl::MakeConstSpan(ids), .vectors = View(vectors, kDimension)})
          .status();
  EXPECT_EQ(large.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(large.message()), HasSubstr("at most 1000"));
  const absl::Status misshapen = (*writer)
                                     ->Write({.ids = absl::MakeConstSpan(ids).subspan(1),
                                              .vectors = View(vectors, kDimension)})
                                     .status();
  EXPECT_EQ(misshapen.message(), "a batch has 99 ids and 100 vectors");
  EXPECT_EQ(*WriteBatch(**writer, 1), 1);
  EXPECT_TRUE((*writer)->Finish().ok());
  ExpectCommittedOnce("a", 1);
}

TEST_F(IngestWriterTest, ADifferentNamespaceUnderTheSameNameIsNoticed) {
  MakeNamespace("a");
  bool replaced = false;
  server_.set_ingest_fault([&](IngestPoint at, uint64_t number) -> std::optional<grpc::Status> {
    if (at != IngestPoint::kAfterAck || number != 3 || std::exchange(replaced, true))
      return std::nullopt;
    EXPECT_TRUE(client_->DeleteNamespace("a").ok());
    MakeNamespace("a");
    return grpc::Status(grpc::UNAVAILABLE, "struck");
  });
  const absl::Status status = WriteAll(*client_, "a", 10);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("not the one it was"));
}

// A server that reads a batch and never answers, until the test is over.
class HangingServerTest : public IngestWriterTest {
 protected:
  void SetUp() override {
    IngestWriterTest::SetUp();
    MakeNamespace("a");
    server_.set_ingest_fault([this, released = released_.get_future().share()](
                                 IngestPoint at, uint64_t) -> std::optional<grpc::Status> {
      if (at != IngestPoint::kBeforeCommit) return std::nullopt;
      if (!std::exchange(reached_, true)) hanging_.set_value();
      released.wait();
      return grpc::Status(grpc::UNAVAILABLE, "released");
    });
    writer_ = *IngestWriter::Open(*client_, Options("a"));
    ASSERT_TRUE(WriteBatch(*writer_, 1).ok());
    hanging_.get_future().wait();
  }

  void TearDown() override { released_.set_value(); }

  std::promise<void> released_;
  std::promise<void> hanging_;
  bool reached_ = false;
  std::unique_ptr<IngestWriter> writer_;
};

TEST_F(HangingServerTest, CancelAllEndsAWriteThatWaitsForRoom) {
  std::thread canceller([this] { client_->CancelAll(); });
  absl::Status status;
  for (uint64_t number = 2; status.ok(); ++number) {
    status = WriteBatch(*writer_, number).status();
    ASSERT_LE(number, 10);
  }
  canceller.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(writer_->Finish().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(writer_->committed(), 0);
}

TEST_F(HangingServerTest, AWriterCanBeDroppedWithoutFinishing) { writer_.reset(); }

}  // namespace
}  // namespace varve::client
