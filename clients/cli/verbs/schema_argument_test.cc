#include "clients/cli/verbs/schema_argument.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "clients/cli/session.h"

namespace varve::cli {
namespace {

using client::AttributeType;
using client::DType;
using client::Metric;
using ::testing::HasSubstr;

TEST(SchemaArgumentTest, AFieldHasPartsOfWhichTheLastMayBeLeftOut) {
  const auto least = ParseField("title:300");
  ASSERT_TRUE(least.ok()) << least.status();
  EXPECT_EQ(least->name, "title");
  EXPECT_EQ(least->dimension, 300);
  EXPECT_EQ(least->metric, Metric::kL2);
  EXPECT_EQ(least->element_type, DType::kF32);
  EXPECT_FALSE(least->multi_vector);
  const auto most = ParseField("tokens:128:cosine:i8:multi");
  ASSERT_TRUE(most.ok()) << most.status();
  EXPECT_EQ(most->metric, Metric::kCosine);
  EXPECT_EQ(most->element_type, DType::kI8);
  EXPECT_TRUE(most->multi_vector);
  const auto gaps = ParseField("tokens:128:::multi");
  ASSERT_TRUE(gaps.ok()) << gaps.status();
  EXPECT_TRUE(gaps->multi_vector);
}

TEST(SchemaArgumentTest, AFieldThatIsWrongIsAUsageErrorThatSaysWhat) {
  const auto refused = [](const char* text) {
    const absl::Status status = ParseField(text).status();
    EXPECT_TRUE(IsUsageError(status)) << text;
    return std::string(status.message());
  };
  EXPECT_THAT(refused("title"), HasSubstr("wanted NAME:DIMENSION"));
  EXPECT_THAT(refused(":300"), HasSubstr("wanted NAME:DIMENSION"));
  EXPECT_THAT(refused("a:1:l2:f32:multi:x"), HasSubstr("wanted NAME:DIMENSION"));
  EXPECT_THAT(refused("a:0"), HasSubstr("dimension is '0', wanted 1 to 65535"));
  EXPECT_THAT(refused("a:65536"), HasSubstr("dimension is '65536'"));
  EXPECT_THAT(refused("a:3x"), HasSubstr("dimension is '3x'"));
  EXPECT_THAT(refused("a:3:euclid"), HasSubstr("metric is 'euclid'"));
  EXPECT_THAT(refused("a:3:l2:f64"), HasSubstr("element type is 'f64'"));
  EXPECT_THAT(refused("a:3:l2:f32:many"), HasSubstr("'many' is the last word, wanted multi"));
}

TEST(SchemaArgumentTest, AnAttributeHasAPathAndAType) {
  const auto price = ParseAttribute("price.eu:double");
  ASSERT_TRUE(price.ok()) << price.status();
  EXPECT_EQ(price->path, "price.eu");
  EXPECT_EQ(price->type, AttributeType::kDouble);
  EXPECT_FALSE(price->list);
  const auto tags = ParseAttribute("a:tags:string[]");
  ASSERT_TRUE(tags.ok()) << tags.status();
  EXPECT_EQ(tags->path, "a:tags");
  EXPECT_TRUE(tags->list);
  EXPECT_EQ(TypeText(*tags), "string[]");
  for (const char* type : {"bool", "int64", "double", "timestamp", "string"}) {
    EXPECT_EQ(TypeText(*ParseAttribute(std::string("a:") + type)), type);
  }
  for (const char* text :
       {"price", ":double", "price:", "price:float", "price:[]", "a:double[][]"}) {
    EXPECT_TRUE(IsUsageError(ParseAttribute(text).status())) << text;
  }
}

}  // namespace
}  // namespace varve::cli
