#include "server/engine/batch.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

FieldSchema Field(index::Metric metric = index::Metric::kL2) {
  return {.dimension = 3, .metric = metric};
}

NamespaceSchema Schema(const FieldSchema& field) { return {.name = "n", .fields = {field}}; }

// A batch of three-dimensional float32 vectors with numeric ids.
absl::StatusOr<CheckedBatch> Check(const FieldSchema& field, const std::vector<uint64_t>& numbers,
                                   const std::vector<float>& values,
                                   OnError on_error = OnError::kFailBatch, size_t columns = 3) {
  const IdsView ids{.type = IdType::kNumber, .numbers = numbers};
  const EncodedIds encoded(ids);
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  return CheckBatch(Schema(field),
                    {.ids = ids,
                     .fields = {{.vectors = {.rows = values.size() / columns,
                                             .columns = columns,
                                             .bytes = bytes}}}},
                    encoded.keys(), on_error);
}

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(BatchTest, GoodRowsAreAllKept) {
  const auto batch = Check(Field(), {5, 6}, {1, 2, 3, 4, 5, 6});
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_THAT(batch->rows, ElementsAre(0, 1));
  EXPECT_THAT(batch->superseded, IsEmpty());
}

TEST(BatchTest, OfEqualIdsTheLastWins) {
  const auto batch = Check(Field(), {5, 6, 5, 5}, std::vector<float>(12, 1.0f));
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_THAT(batch->rows, ElementsAre(1, 3));
  EXPECT_THAT(batch->superseded, ElementsAre(0, 2));
}

TEST(BatchTest, DimensionMismatchGivesBothNumbers) {
  const auto status = Check(Field(), {5}, {1, 2}, OnError::kSkip, 2).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("dimension 3, the vectors have 2"));
}

TEST(BatchTest, CountsThatDisagreeAreInvalid) {
  EXPECT_THAT(Message(Check(Field(), {5, 6}, {1, 2, 3}).status()),
              HasSubstr("1 vectors for 2 ids"));
}

TEST(BatchTest, ABatchWithoutVectorsIsRefused) {
  const std::vector<uint64_t> numbers = {5};
  const IdsView ids{.type = IdType::kNumber, .numbers = numbers};
  const auto status =
      CheckBatch(Schema(Field()), {.ids = ids}, EncodedIds(ids).keys(), OnError::kSkip).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(status), HasSubstr("at least one field"));
}

TEST(BatchTest, NotFiniteNamesRowAndElement) {
  for (float bad : {kNaN, kInfinity, -kInfinity}) {
    const auto status = Check(Field(), {5, 6}, {1, 2, 3, 4, bad, 6}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(Message(status), HasSubstr("row 1: element 1 must be finite"));
  }
}

TEST(BatchTest, AZeroVectorIsRefusedUnderCosineAlone) {
  EXPECT_THAT(Message(Check(Field(index::Metric::kCosine), {5}, {0, 0, 0}).status()),
              HasSubstr("row 0: a zero vector"));
  EXPECT_TRUE(Check(Field(index::Metric::kL2), {5}, {0, 0, 0}).ok());
  EXPECT_TRUE(Check(Field(index::Metric::kCosine), {5}, {1e-30f, 0, 0}).ok());
}

TEST(BatchTest, AVectorTooLongToCompareIsRefused) {
  EXPECT_THAT(Message(Check(Field(), {5}, {1e20f, 0, 0}).status()), HasSubstr("length"));
  EXPECT_TRUE(Check(Field(), {5}, {1e17f, 0, 0}).ok());
}

TEST(BatchTest, SkippingListsBadRowsAndKeepsTheOthers) {
  const auto batch = Check(Field(), {5, 6, 7}, {1, 2, 3, kNaN, 5, 6, 7, 8, 9}, OnError::kSkip);
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_THAT(batch->rows, ElementsAre(0, 2));
  ASSERT_EQ(batch->errors.size(), 1u);
  EXPECT_EQ(batch->errors[0].row, 1u);
}

TEST(BatchTest, AnEarlierGoodRowStaysWhenTheLaterOneOfItsIdIsSkipped) {
  const auto batch = Check(Field(), {5, 5}, {1, 2, 3, kNaN, 5, 6}, OnError::kSkip);
  ASSERT_TRUE(batch.ok()) << batch.status();
  EXPECT_THAT(batch->rows, ElementsAre(0));
}

TEST(BatchTest, AFieldOfAnotherElementTypeTakesThatAlone) {
  FieldSchema field = Field();
  field.element_type = DType::kU8;
  const auto status = Check(field, {5}, {1, 2, 3}).status();
  EXPECT_THAT(Message(status), HasSubstr("element type u8"));
  EXPECT_THAT(Message(status), HasSubstr("the tensor is f32"));
}

TEST(BatchTest, TextIdsHaveBounds) {
  const std::string longest(kTextIdBytesMax, 'x'), too_long(kTextIdBytesMax + 1, 'x');
  for (const auto& [text, good] : std::vector<std::pair<std::string, bool>>{
           {"a", true}, {longest, true}, {"", false}, {too_long, false}}) {
    const std::string_view view = text;
    const IdsView ids{.type = IdType::kText, .texts = {&view, 1}};
    const EncodedIds encoded(ids);
    const std::string bytes(12, '\0');
    EXPECT_EQ(
        CheckBatch(Schema(Field()),
                   {.ids = ids, .fields = {{.vectors = {.rows = 1, .columns = 3, .bytes = bytes}}}},
                   encoded.keys(), OnError::kFailBatch)
            .ok(),
        good)
        << text.size();
  }
}

TEST(EncodedIdsTest, NumbersSortAsTheyCountAndComeBack) {
  const std::vector<uint64_t> numbers = {0, 1, 255, 256, 1ull << 40, ~0ull};
  const EncodedIds encoded({.type = IdType::kNumber, .numbers = numbers});
  EXPECT_TRUE(std::is_sorted(encoded.keys().begin(), encoded.keys().end()));
  IdList decoded;
  for (std::string_view key : encoded.keys()) {
    EXPECT_TRUE(AppendDecodedId(IdType::kNumber, key, &decoded).ok());
  }
  EXPECT_EQ(decoded.numbers, numbers);
  EXPECT_EQ(AppendDecodedId(IdType::kNumber, "short", &decoded).code(),
            absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace varve::engine
