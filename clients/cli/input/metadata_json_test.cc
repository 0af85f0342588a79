#include "clients/cli/input/metadata_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

namespace varve::cli {
namespace {

using client::AttributeType;
using client::List;
using client::Metadata;
using ::testing::HasSubstr;

const AttributeTypes kTypes = {{"at", AttributeType::kTimestamp},
                               {"price", AttributeType::kDouble},
                               {"size.eu", AttributeType::kDouble}};

Metadata Parsed(std::string_view json) {
  const auto metadata = ParseMetadata(json, kTypes);
  EXPECT_TRUE(metadata.ok()) << json << ": " << metadata.status();
  return metadata.ok() ? *metadata : Metadata();
}

std::string Refused(std::string_view json) {
  return std::string(ParseMetadata(json, kTypes).status().message());
}

TEST(MetadataJsonTest, EveryKindOfValueIsRead) {
  EXPECT_EQ(
      Parsed(R"({"a":true,"b":-7,"c":1.5,"d":"ä\n","e":null,"f":[1,"x",false],"g":{"h":[]}})"),
      (Metadata{{"a", true},
                {"b", -7},
                {"c", 1.5},
                {"d", "ä\n"},
                {"e", nullptr},
                {"f", List{1, "x", false}},
                {"g", Metadata{{"h", List{}}}}}));
  EXPECT_EQ(Parsed("{}"), Metadata());
}

TEST(MetadataJsonTest, AnIntegerIsAnInt64IfItFitsAndAnyOtherNumberADouble) {
  EXPECT_EQ(Parsed(R"({"a":9223372036854775807,"b":9223372036854775808,"c":1.0,"d":1e3,)"
                   R"("e":-9223372036854775808,"f":-0.0})"),
            (Metadata{{"a", INT64_MAX},
                      {"b", 9223372036854775808.0},
                      {"c", 1.0},
                      {"d", 1000.0},
                      {"e", INT64_MIN},
                      {"f", -0.0}}));
}

TEST(MetadataJsonTest, DeclaredTypesDecideWhereJsonHasNone) {
  EXPECT_EQ(Parsed(R"({"price":7,"other":7,"size":{"eu":44}})"),
            (Metadata{{"price", 7.0}, {"other", 7}, {"size", Metadata{{"eu", 44.0}}}}));
  EXPECT_EQ(Parsed(R"({"size.eu":44})"), (Metadata{{"size.eu", 44.0}}));
  const absl::Time noon = absl::FromUnixSeconds(1'000'000'000);
  EXPECT_EQ(Parsed(R"({"at":"2001-09-09T01:46:40Z","when":"2001-09-09T01:46:40Z"})"),
            (Metadata{{"at", noon}, {"when", "2001-09-09T01:46:40Z"}}));
  EXPECT_EQ(Parsed(R"({"at":["2001-09-09T03:46:40.5+02:00"]})"),
            (Metadata{{"at", List{noon + absl::Milliseconds(500)}}}));
  // What does not fit is the server's to refuse.
  EXPECT_EQ(Parsed(R"({"at":7,"price":"x"})"), (Metadata{{"at", 7}, {"price", "x"}}));
}

TEST(MetadataJsonTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(Refused(""), HasSubstr("is not a JSON object: parse error at column 1"));
  EXPECT_THAT(Refused(R"({"a":})"), HasSubstr("parse error at column 6"));
  EXPECT_THAT(Refused(R"({"a":1} {})"), HasSubstr("parse error at column 9"));
  EXPECT_THAT(Refused(R"({"a":1e999})"), HasSubstr("number overflow"));
  EXPECT_EQ(Refused("[1]"), "is a JSON array, wanted an object");
  EXPECT_EQ(Refused("7"), "is a JSON number, wanted an object");
  EXPECT_EQ(Refused(R"({"at":"yesterday"})"),
            "attribute 'at' is 'yesterday', wanted a time such as 2026-09-01T09:00:00Z");
  EXPECT_EQ(Refused(R"({"a":{"b":[[1]]}})"),
            "attribute 'a.b' is a list of arrays, wanted numbers, texts or booleans");
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += R"({"a":)";
  EXPECT_THAT(Refused(deep + "1" + std::string(200, '}')), HasSubstr("nested more than 128 deep"));
}

}  // namespace
}  // namespace varve::cli
