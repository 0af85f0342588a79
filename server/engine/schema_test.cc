#include "server/engine/schema.h"

#include <functional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve::engine {
namespace {

using ::testing::HasSubstr;

NamespaceSchema Valid() {
  NamespaceSchema schema{.name = "products", .create_time = absl::FromUnixMicros(1'700'000'000)};
  schema.fields.push_back({.dimension = 384, .metric = index::Metric::kCosine});
  return schema;
}

TEST(SchemaTest, TheDefaultsAreValid) { EXPECT_TRUE(ValidateSchema(Valid()).ok()); }

TEST(SchemaTest, EachBadMemberIsInvalidAndNamed) {
  struct Case {
    std::function<void(NamespaceSchema&)> spoil;
    const char* message;
  };
  const Case cases[] = {
      {[](auto& s) { s.name = ""; }, "namespace name"},
      {[](auto& s) { s.name = "-a"; }, "namespace name"},
      {[](auto& s) { s.name = "a/b"; }, "namespace name"},
      {[](auto& s) { s.name = std::string(129, 'a'); }, "129 bytes"},
      {[](auto& s) { s.fields.clear(); }, "must have 1 to 32 vector fields, has 0"},
      {[](auto& s) { s.fields[0].name = "a/b"; }, "\"a/b\""},
      {[](auto& s) { s.fields[0].dimension = 0; }, "dimension must be 1 to 65535, is 0"},
      {[](auto& s) { s.fields[0].dimension = 65'536; }, "is 65536"},
      {[](auto& s) { s.fields[0].index.m = 3; }, "m must be 4 to 128, is 3"},
      {[](auto& s) { s.fields[0].index.ef_construction = 5000; }, "ef_construction"},
      {[](auto& s) { s.fields[0].index.ef_search = 0; }, "ef_search"},
      {[](auto& s) { s.fields[0].index.segment_size_threshold = 10; }, "segment_size_threshold"},
      {[](auto& s) { s.fields[0].index.parallel_insert_threshold = 0; }, "parallel_insert"},
      {[](auto& s) { s.fields[0].index.max_unindexed_rows = 999; }, "max_unindexed_rows"},
      {[](auto& s) { s.fields[0].index.tombstone_rebuild_pct = 0; }, "tombstone_rebuild_pct"},
      {[](auto& s) { s.fields[0].index.tombstone_rebuild_pct = 101; }, "tombstone_rebuild_pct"},
  };
  for (const Case& c : cases) {
    NamespaceSchema schema = Valid();
    c.spoil(schema);
    const absl::Status status = ValidateSchema(schema);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.message;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.message));
  }
}

TEST(SchemaTest, WhatIsStoredIsReadBack) {
  NamespaceSchema schema = Valid();
  schema.id_type = IdType::kText;
  schema.fields[0].element_type = DType::kU8;
  schema.fields[0].index = {.m = 20,
                            .ef_construction = 150,
                            .ef_search = 90,
                            .segment_size_threshold = 7000,
                            .parallel_insert_threshold = 3,
                            .max_unindexed_rows = 5000,
                            .quantization = index::Quantization::kNone};
  schema.limits = {.vectors = 1,
                   .vector_bytes = 2,
                   .request_bytes = 3,
                   .k = 4,
                   .ef_search = 5,
                   .searches = 6,
                   .streams = 7,
                   .ingest_bytes_per_second = 8};
  const auto parsed = ParseSchema(SerializeSchema(schema));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(SerializeSchema(*parsed), SerializeSchema(schema));
  EXPECT_EQ(parsed->limits.ingest_bytes_per_second, 8u);
  EXPECT_EQ(parsed->fields[0].index.segment_size_threshold, 7000u);
  EXPECT_EQ(parsed->fields[0].index.quantization, index::Quantization::kNone);
  EXPECT_EQ(parsed->create_time, schema.create_time);
}

TEST(SchemaTest, AnUpdateOfLimitsSetsTheOnesItHasAndTakesThoseAwayThatAreZero) {
  NamespaceLimits limits{.vectors = 10, .k = 4};
  Apply({.vectors = 0, .streams = 2}, &limits);
  EXPECT_EQ(limits.vectors, std::nullopt);
  EXPECT_EQ(limits.k, 4u);
  EXPECT_EQ(limits.streams, 2u);
}

TEST(SchemaTest, ASchemaOfBeforeAnOptionWasThereHasItsDefault) {
  std::string stored = SerializeSchema(Valid());
  const std::string member = ",\"quantization\":1";
  ASSERT_NE(stored.find(member), std::string::npos) << stored;
  stored.erase(stored.find(member), member.size());
  const auto parsed = ParseSchema(stored);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->fields[0].index.quantization, index::Quantization::kInt8);
}

TEST(SchemaTest, StoredBytesThatAreNotASchemaAreDataLoss) {
  std::string unknown_metric = SerializeSchema(Valid());
  unknown_metric.replace(unknown_metric.find("\"metric\":2"), 10, "\"metric\":9");
  for (const std::string& bytes : {std::string(), std::string("{"), std::string("[]"),
                                   std::string("{\"name\": 7}"), unknown_metric}) {
    EXPECT_EQ(ParseSchema(bytes).status().code(), absl::StatusCode::kDataLoss) << bytes;
  }
}

TEST(SchemaTest, AnUpdateChangesWhatItSetsAndNothingElse) {
  index::IndexOptions options;
  Apply({.ef_search = 100}, &options);
  EXPECT_EQ(options.ef_search, 100u);
  EXPECT_EQ(options.m, 16u);
}

}  // namespace
}  // namespace varve::engine
