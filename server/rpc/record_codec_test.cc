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
  EXPECT_EQ(view.field, "");
  EXPECT_EQ(view.vectors.row(1), "def");
  EXPECT_EQ(view.vectors.bytes.data(), batch.fields(0).dense().data().data());
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

TEST(RecordCodecTest, ABatchHasExactlyOneField) {
  v1::RecordBatch none = TwoRecords();
  none.clear_fields();
  EXPECT_THAT(std::string(DecodedRecords().Decode(none).message()), HasSubstr("has 0"));
  v1::RecordBatch two = TwoRecords();
  two.add_fields()->set_field("other");
  EXPECT_THAT(std::string(DecodedRecords().Decode(two).message()), HasSubstr("has 2"));
}

TEST(RecordCodecTest, AFieldWithoutVectorsIsRefused) {
  v1::RecordBatch batch = TwoRecords();
  batch.mutable_fields(0)->clear_dense();
  EXPECT_THAT(std::string(DecodedRecords().Decode(batch).message()),
              HasSubstr("dense must be set"));
}

TEST(RecordCodecTest, RecordsComeBackInTheirColumns) {
  engine::RecordList records{.dtype = DType::kU8, .dimension = 2, .vectors = "abcd"};
  records.ids = {.type = engine::IdType::kText, .numbers = {}, .texts = {"x", "y"}};
  v1::Id second;
  EncodeId(records.ids, 1, &second);
  EXPECT_EQ(second.text(), "y");
  v1::RecordBatch batch;
  EncodeRecords(records, /*include_vectors=*/true, &batch);
  EXPECT_THAT(batch.ids().texts().values(), ElementsAre("x", "y"));
  EXPECT_THAT(batch.fields(0).dense().shape(), ElementsAre(2, 2));
  EXPECT_EQ(batch.fields(0).dense().data(), "abcd");
  v1::RecordBatch ids_only;
  EncodeRecords(records, /*include_vectors=*/false, &ids_only);
  EXPECT_EQ(ids_only.fields_size(), 0);
}

}  // namespace
}  // namespace varve::server
