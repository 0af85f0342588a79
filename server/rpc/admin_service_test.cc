#include "server/rpc/admin_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "server/rpc/server_fixture.h"
#include "server/version.h"

namespace varve::server {
namespace {

using testing::_;
using testing::HasSubstr;

class AdminServiceTest : public ServerFixture {
 protected:
  void SetUp() override {
    Start();
    v1::IndexOptions index;
    index.set_segment_size_threshold(1000);
    CreateNamespace("docs", index);
  }
};

TEST_F(AdminServiceTest, StatsOfTheServerAlone) {
  grpc::ClientContext context;
  v1::StatsResponse response;
  ASSERT_THAT(admin_->Stats(&context, v1::StatsRequest(), &response), IsOk());
  EXPECT_EQ(response.version(), std::string(kVersion));
  EXPECT_EQ(response.namespaces(), 1);
  EXPECT_GT(response.resident_bytes(), 1 << 20);
  EXPECT_GT(response.disk_bytes(), 0);
  EXPECT_TRUE(response.has_uptime());
  EXPECT_FALSE(response.has_namespace_());
}

TEST_F(AdminServiceTest, StatsOfANamespace) {
  Upsert("docs", MakeRecords(0, 10));
  Upsert("docs", MakeRecords(5, 10));
  v1::StatsRequest request;
  request.set_namespace_("docs");
  grpc::ClientContext context;
  v1::StatsResponse response;
  ASSERT_THAT(admin_->Stats(&context, request, &response), IsOk());
  EXPECT_EQ(response.namespace_().records(), 15);
  EXPECT_EQ(response.namespace_().sequence(), 2);
  EXPECT_EQ(response.namespace_().dead_rows(), 5);
  request.set_namespace_("nowhere");
  grpc::ClientContext other;
  EXPECT_THAT(admin_->Stats(&other, request, &response),
              StatusIs(grpc::StatusCode::NOT_FOUND, HasSubstr("nowhere")));
}

TEST_F(AdminServiceTest, WatchingEndsWhenAllIsIndexedAndNeverGoesBack) {
  Upsert("docs", MakeRecords(0, 5000));
  v1::WatchIndexingRequest request;
  request.set_namespace_("docs");
  grpc::ClientContext context;
  auto stream = admin_->WatchIndexing(&context, request);
  v1::WatchIndexingResponse response;
  uint64_t indexed = 0;
  int messages = 0;
  for (; stream->Read(&response); ++messages) {
    EXPECT_GE(response.indexed_rows(), indexed);
    EXPECT_EQ(response.total_rows(), 5000);
    indexed = response.indexed_rows();
  }
  EXPECT_THAT(stream->Finish(), IsOk());
  EXPECT_GE(messages, 1);
  EXPECT_EQ(indexed, 5000);
}

TEST_F(AdminServiceTest, FlushSealsAndCompactMergesWhatWasThere) {
  Upsert("docs", MakeRecords(0, 2500));
  v1::FlushRequest flush;
  flush.set_namespace_("docs");
  v1::FlushResponse flushed;
  grpc::ClientContext flush_context;
  ASSERT_THAT(admin_->Flush(&flush_context, flush, &flushed), IsOk());
  v1::CompactRequest compact;
  compact.set_namespace_("docs");
  compact.set_wait(true);
  v1::CompactResponse compacted;
  grpc::ClientContext compact_context;
  ASSERT_THAT(admin_->Compact(&compact_context, compact, &compacted), IsOk());
  v1::ListSegmentsRequest list;
  list.set_namespace_("docs");
  v1::ListSegmentsResponse segments;
  grpc::ClientContext list_context;
  ASSERT_THAT(admin_->ListSegments(&list_context, list, &segments), IsOk());
  ASSERT_EQ(segments.segments_size(), 1);
  EXPECT_EQ(segments.segments(0).state(), v1::SEGMENT_STATE_SEALED);
  EXPECT_EQ(segments.segments(0).rows(), 2500);
  EXPECT_EQ(segments.segments(0).level(), 1);
}

TEST_F(AdminServiceTest, TheDeadlineOfACompactionEndsTheWaitingForIt) {
  Upsert("docs", MakeRecords(0, 5000));
  v1::CompactRequest request;
  request.set_namespace_("docs");
  request.set_wait(true);
  v1::CompactResponse response;
  grpc::ClientContext hasty;
  hasty.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(1));
  EXPECT_THAT(admin_->Compact(&hasty, request, &response),
              StatusIs(grpc::StatusCode::DEADLINE_EXCEEDED, _));
  grpc::ClientContext patient;
  EXPECT_THAT(admin_->Compact(&patient, request, &response), IsOk());
}

TEST_F(AdminServiceTest, WatchingAnEmptyNamespaceEndsAtOnce) {
  v1::WatchIndexingRequest request;
  request.set_namespace_("docs");
  grpc::ClientContext context;
  auto stream = admin_->WatchIndexing(&context, request);
  v1::WatchIndexingResponse response;
  EXPECT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.total_rows(), 0);
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_THAT(stream->Finish(), IsOk());
}

TEST_F(AdminServiceTest, SegmentsAddUpToTheRows) {
  Upsert("docs", MakeRecords(0, 2500));
  v1::ListSegmentsRequest request;
  request.set_namespace_("docs");
  grpc::ClientContext context;
  v1::ListSegmentsResponse response;
  ASSERT_THAT(admin_->ListSegments(&context, request, &response), IsOk());
  ASSERT_EQ(response.segments_size(), 3);
  uint64_t rows = 0;
  for (const v1::Segment& segment : response.segments()) {
    EXPECT_NE(segment.state(), v1::SEGMENT_STATE_UNSPECIFIED);
    EXPECT_EQ(segment.live_rows() + segment.dead_rows(), segment.rows());
    rows += segment.rows();
  }
  EXPECT_EQ(rows, 2500);
  request.set_field("title");
  grpc::ClientContext other;
  EXPECT_THAT(admin_->ListSegments(&other, request, &response),
              StatusIs(grpc::StatusCode::INVALID_ARGUMENT, _));
}

}  // namespace
}  // namespace varve::server
