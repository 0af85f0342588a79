#include "server/rpc/schema_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace varve::server {
namespace {

using testing::HasSubstr;

TEST(SchemaMappingTest, WhatIsNotSetTakesTheDefaults) {
  v1::Namespace in;
  in.set_name("docs");
  in.add_fields()->set_dimension(8);
  const auto schema = DecodeNamespace(in);
  ASSERT_TRUE(schema.ok()) << schema.status();
  EXPECT_EQ(schema->name, "docs");
  EXPECT_EQ(schema->id_type, engine::IdType::kUndecided);
  const engine::FieldSchema& field = schema->fields.at(0);
  EXPECT_EQ(field.name, "");
  EXPECT_EQ(field.dimension, 8);
  EXPECT_EQ(field.metric, index::Metric::kL2);
  EXPECT_EQ(field.element_type, DType::kF32);
  EXPECT_EQ(field.index.m, 16);
  EXPECT_EQ(field.index.ef_construction, 200);
  EXPECT_EQ(field.index.ef_search, 64);
  EXPECT_EQ(field.index.segment_size_threshold, 50'000);
}

TEST(SchemaMappingTest, AnOptionSetToZeroIsNotADefault) {
  v1::Namespace in;
  in.add_fields()->mutable_index()->set_m(0);
  EXPECT_EQ(DecodeNamespace(in)->fields.at(0).index.m, 0);  // for the engine to refuse
}

TEST(SchemaMappingTest, ASchemaComesBackAsItWas) {
  engine::NamespaceSchema schema{.name = "docs",
                                 .id_type = engine::IdType::kText,
                                 .create_time = absl::FromUnixNanos(1'700'000'000'123'456'789)};
  schema.fields.push_back({.name = "",
                           .dimension = 384,
                           .metric = index::Metric::kCosine,
                           .element_type = DType::kF16,
                           .index = {.m = 5,
                                     .ef_construction = 6,
                                     .ef_search = 7,
                                     .segment_size_threshold = 8,
                                     .parallel_insert_threshold = 9,
                                     .max_unindexed_rows = 10}});
  const v1::Namespace encoded = EncodeNamespace(schema);
  EXPECT_EQ(encoded.create_time().seconds(), 1'700'000'000);
  EXPECT_EQ(encoded.create_time().nanos(), 123'456'789);
  const auto decoded = DecodeNamespace(encoded);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(EncodeNamespace(*decoded).fields(0).SerializeAsString(),
            encoded.fields(0).SerializeAsString());
  EXPECT_EQ(decoded->id_type, engine::IdType::kText);
  EXPECT_EQ(decoded->fields.at(0).metric, index::Metric::kCosine);
  EXPECT_EQ(decoded->fields.at(0).index.max_unindexed_rows, 10);
}

TEST(SchemaMappingTest, UnknownEnumValuesAreRefusedByField) {
  v1::Namespace metric;
  metric.add_fields();
  metric.add_fields()->set_metric(static_cast<v1::Metric>(42));
  EXPECT_THAT(std::string(DecodeNamespace(metric).status().message()),
              HasSubstr("namespace.fields[1].metric must be"));
  v1::Namespace element;
  element.add_fields()->set_element_type(static_cast<v1::Dtype>(42));
  EXPECT_THAT(std::string(DecodeNamespace(element).status().message()),
              HasSubstr("namespace.fields[0].element_type must be"));
  v1::Namespace id_type;
  id_type.set_id_type(static_cast<v1::IdType>(42));
  EXPECT_THAT(std::string(DecodeNamespace(id_type).status().message()),
              HasSubstr("namespace.id_type must be"));
}

TEST(SchemaMappingTest, AnUpdateHoldsOnlyWhatIsSet) {
  v1::IndexOptions in;
  in.set_ef_search(100);
  const engine::IndexOptionsUpdate update = DecodeIndexOptions(in);
  EXPECT_EQ(update.ef_search, 100);
  EXPECT_FALSE(update.m.has_value());
  EXPECT_FALSE(update.max_unindexed_rows.has_value());
  EXPECT_FALSE(update.quantization.has_value());
}

TEST(SchemaMappingTest, AQuantizationThatIsNotKnownIsNotTakenForOneThatIs) {
  for (const int value : {3, 255, 256, 257, -1, 1 << 30}) {
    v1::IndexOptions in;
    in.set_quantization(static_cast<v1::Quantization>(value));
    engine::NamespaceSchema schema{.name = "n", .fields = {{.dimension = 3}}};
    Apply(DecodeIndexOptions(in), &schema.fields[0].index);
    EXPECT_THAT(std::string(engine::ValidateSchema(schema).message()),
                HasSubstr("quantization must be 1 to 2"))
        << value;
  }
}

}  // namespace
}  // namespace varve::server
