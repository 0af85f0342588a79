#include "clients/cli/input/offsets_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "clients/cli/input/npy.h"
#include "clients/cli/testing/files.h"

namespace varve::cli {
namespace {

using testing::BytesOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::WriteTestFile;

template <typename T>
std::string Write(const char* dtype, const std::vector<T>& values) {
  return WriteTestFile("offsets.npy", NpyHeader(dtype, {values.size()}) + BytesOf(values));
}

std::string Refused(const std::vector<int64_t>& offsets, uint64_t vectors) {
  return std::string(ReadOffsets(Write("<i8", offsets), vectors).status().message());
}

TEST(OffsetsFileTest, IntegersOfAnyWidthAreTaken) {
  EXPECT_THAT(*ReadOffsets(Write<int64_t>("<i8", {0, 2, 3}), 3), ElementsAre(0, 2, 3));
  EXPECT_THAT(*ReadOffsets(Write<uint64_t>("<u8", {0, 3}), 3), ElementsAre(0, 3));
  EXPECT_THAT(*ReadOffsets(Write<int32_t>("<i4", {0, 2, 3}), 3), ElementsAre(0, 2, 3));
  EXPECT_THAT(*ReadOffsets(Write<int32_t>("<i4", {0}), 0), ElementsAre(0));
}

TEST(OffsetsFileTest, WhatDoesNotFitTheVectorsIsNamed) {
  EXPECT_THAT(Refused({}, 3), HasSubstr("holds no offsets"));
  EXPECT_THAT(Refused({1, 3}, 3), HasSubstr("from 1 to 3, wanted 0 to 3"));
  EXPECT_THAT(Refused({0, 2}, 3), HasSubstr("from 0 to 2, wanted 0 to 3"));
  EXPECT_THAT(Refused({0, -2, 3}, 3), HasSubstr("row 1 is -2, offsets are not negative"));
  EXPECT_THAT(Refused({0, 2, 2, 3}, 3), HasSubstr("record 1 begins at 2 and ends at 2"));
  EXPECT_THAT(Refused({0, 5, 3}, 3), HasSubstr("record 1 begins at 5 and ends at 3"));
  EXPECT_THAT(std::string(ReadOffsets("offsets.txt", 3).status().message()),
              HasSubstr("offsets.txt: wanted a .npy file"));
}

}  // namespace
}  // namespace varve::cli
