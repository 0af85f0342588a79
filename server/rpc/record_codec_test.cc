#include "server/rpc/record_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace varve::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::RecordBatch TwoRecords() {
  v1::RecordBatch batch;
  batch.mutable_ids()->mutable_numbers()->add_values(7);
  batch.mutable_ids()->mutable_numbers()->add_values(8);
  v1::Tensor* tensor = batch.add_fields()->mutable_dense();
  tensor->set_dtype(v1::DTYPE_U8);
  tensor->add_shape(2);
  tensor->add_shape(3);
  tensor->set_data("abcdef");
  return batch;
}

TEST(RecordCodecTest, ABatchIsAViewOfItsMessage) {
  const v1::RecordBatch batch = TwoRecords();
  DecodedRecords records;
  ASSERT_TRUE(records.Decode(batch).ok());
  const engine::RecordsView view = records.view();
  EXPECT_EQ(view.ids.type, engine::IdType::kNumber);
  EXPECT_THAT(view.ids.numbers, ElementsAre(7, 8));
  ASSERT_EQ(view.fields.size(), 1);
  EXPECT_EQ(view.fields[0].field, "");
  EXPECT_EQ(view.fields[0].vectors.row(1), "def");
  EXPECT_EQ(view.fields[0].vectors.bytes.data(), batch.fields(0).dense().data().data());
}

TEST(RecordCodecTest, TextIdsAreViewsToo) {
  v1::Ids ids;
  ids.mutable_texts()->add_values("a");
  ids.mutable_texts()->add_values("");
  DecodedIds decoded;
  ASSERT_TRUE(decoded.Decode(ids, "ids").ok());
  EXPECT_EQ(decoded.view().type, engine::IdType::kText);
  EXPECT_THAT(decoded.view().texts, ElementsAre("a", ""));
}

TEST(RecordCodecTest, IdsOfNoKindAreRefused) {
  DecodedIds decoded;
  EXPECT_EQ(decoded.Decode(v1::Ids(), "ids").message(),
            "ids must hold numbers or texts, holds neither");
}

TEST(RecordCodecTest, ABatchHasAnyNumberOfFields) {
  v1::RecordBatch none = TwoRecords();
  none.clear_fields();
  DecodedRecords without;
  ASSERT_TRUE(without.Decode(none).ok());
  EXPECT_EQ(without.view().fields.size(), 0);  // for the engine to refuse
  v1::RecordBatch two = TwoRecords();
  v1::FieldVectors* other = two.add_fields();
  other->set_field("other");
  *other->mutable_dense() = two.fields(0).dense();
  DecodedRecords with_both;
  ASSERT_TRUE(with_both.Decode(two).ok());
  ASSERT_EQ(with_both.view().fields.size(), 2);
  EXPECT_EQ(with_both.view().fields[1].field, "other");
  EXPECT_EQ(with_both.view().fields[1].vectors.row(1), "def");
}

TEST(RecordCodecTest, AFieldWithoutVectorsIsRefused) {
  v1::RecordBatch batch = TwoRecords();
  batch.mutable_fields(0)->clear_dense();
  EXPECT_THAT(std::string(DecodedRecords().Decode(batch).message()),
              HasSubstr("records.fields[0] must hold vectors, dense or ragged"));
}

TEST(RecordCodecTest, RecordsComeBackInTheirColumns) {
  engine::RecordList records{
      .fields = {{.field = "title", .dtype = DType::kU8, .dimension = 2, .bytes = "abcd"}}};
  records.ids = {.type = engine::IdType::kText, .numbers = {}, .texts = {"x", "y"}};
  v1::Id second;
  EncodeId(records.ids, 1, &second);
  EXPECT_EQ(second.text(), "y");
  v1::RecordBatch batch;
  ASSERT_TRUE(EncodeRecords(records, &batch).ok());
  EXPECT_THAT(batch.ids().texts().values(), ElementsAre("x", "y"));
  EXPECT_EQ(batch.fields(0).field(), "title");
  EXPECT_THAT(batch.fields(0).dense().shape(), ElementsAre(2, 2));
  EXPECT_EQ(batch.fields(0).dense().data(), "abcd");
  v1::RecordBatch ids_only;
  ASSERT_TRUE(EncodeRecords({.ids = records.ids}, &ids_only).ok());
  EXPECT_EQ(ids_only.fields_size(), 0);
}

}  // namespace
}  // namespace varve::server
