#include "clients/cli/input/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "clients/cli/testing/files.h"

namespace varve::cli {
namespace {

using ::testing::HasSubstr;
using testing::WriteTestFile;

// A file of .npy version `major` with this dictionary, padded as numpy does, and `data`.
std::string Npy(const std::string& dictionary, const std::string& data, int major = 1) {
  const std::string text = dictionary + std::string(16, ' ') + "\n";
  std::string file = "\x93NUMPY";
  file += static_cast<char>(major);
  file += '\0';
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) {
    file += static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return file + text + data;
}

constexpr char kFloats[] = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

void ExpectRefused(const std::string& content, const std::string& why) {
  const std::string path = WriteTestFile("refused.npy", content);
  const auto array = OpenNpy(path);
  ASSERT_FALSE(array.ok()) << "wanted: " << why;
  EXPECT_EQ(array.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(array.status().message()), HasSubstr(path + ": "));
  EXPECT_THAT(std::string(array.status().message()), HasSubstr(why));
}

TEST(NpyTest, EveryVersionIsRead) {
  for (const int major : {1, 2, 3}) {
    const std::string data(24, 'x');
    const auto array = OpenNpy(WriteTestFile("a.npy", Npy(kFloats, data, major)));
    ASSERT_TRUE(array.ok()) << array.status();
    EXPECT_EQ(array->type, (NpyType{'f', 4}));
    EXPECT_EQ(array->shape, (std::vector<uint64_t>{2, 3}));
    EXPECT_EQ(array->data, data);
  }
}

TEST(NpyTest, DictionariesOfOtherWritersAreRead) {
  for (const char* dictionary : {
           "{\"descr\": \"<f4\", \"fortran_order\": False, \"shape\": (2, 3)}",
           "{'shape':(2,3,),'fortran_order':False,'descr':'<f4'}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }",
           "{'descr': '<f4', 'fortran_order': True, 'shape': (6,), }",
       }) {
    EXPECT_TRUE(OpenNpy(WriteTestFile("a.npy", Npy(dictionary, std::string(24, 'x')))).ok())
        << dictionary;
  }
}

TEST(NpyTest, AnEmptyArrayIsRead) {
  const auto array = OpenNpy(WriteTestFile(
      "a.npy", Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }", "")));
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_EQ(array->data.size(), 0);
}

TEST(NpyTest, AMissingFileIsNotFoundAndNamed) {
  const auto array = OpenNpy("nowhere.npy");
  EXPECT_EQ(array.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(array.status().message()), HasSubstr("cannot open nowhere.npy"));
}

TEST(NpyTest, AFileCutAnywhereIsRefused) {
  const std::string whole = Npy(kFloats, std::string(24, 'x'));
  for (size_t size = 0; size < whole.size(); ++size) {
    ExpectRefused(whole.substr(0, size), size < 6 ? "not a .npy" : "cut short");
  }
}

TEST(NpyTest, BytesLeftOverAreRefused) {
  ExpectRefused(Npy(kFloats, std::string(25, 'x')), "holds 25 bytes of data, wanted 24");
  ExpectRefused(Npy(kFloats, std::string(25, 'x')), "left over");
}

TEST(NpyTest, OtherMagicAndVersionsAreRefused) {
  ExpectRefused("\x93NUMPZ" + Npy(kFloats, "").substr(6), "not a .npy");
  ExpectRefused(Npy(kFloats, std::string(24, 'x'), 4), "version 4, wanted 1, 2 or 3");
  ExpectRefused(Npy(kFloats, std::string(24, 'x'), 0), "version 0, wanted 1, 2 or 3");
}

TEST(NpyTest, FortranOrderIsRefusedWithTheCure) {
  ExpectRefused(
      Npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }", std::string(24, 'x')),
      "numpy.ascontiguousarray");
}

TEST(NpyTest, BigEndianIsRefusedWithTheCure) {
  ExpectRefused(
      Npy("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }", std::string(24, 'x')),
      "a.astype('<f4')");
}

TEST(NpyTest, TypesThatAreNotOneNumberAreRefused) {
  for (const char* dtype :
       {"''", "'<'", "'<f'", "'<f0'", "'<f99999999999999999999'", "'<M8[ns]'", "'<fx'"}) {
    ExpectRefused(
        Npy(std::string("{'descr': ") + dtype + ", 'fortran_order': False, 'shape': (2, 3), }",
            std::string(24, 'x')),
        "dtype");
  }
  ExpectRefused(Npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }",
                    std::string(24, 'x')),
                "one plain dtype");
}

TEST(NpyTest, MalformedDictionariesAreRefused) {
  for (const char* dictionary : {
           "",
           "{",
           "{}",
           "{'descr': '<f4', 'fortran_order': False}",
           "{'descr': '<f4', 'shape': (2, 3)}",
           "{'fortran_order': False, 'shape': (2, 3)}",
           "{'descr': '<f4' 'fortran_order': False, 'shape': (2, 3)}",
           "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2, 3)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2 3)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 99999999999999999999)}",
           "{'descr': '<f4, 'fortran_order': False, 'shape': (2, 3)}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': 1}",
           "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} more",
       }) {
    ExpectRefused(Npy(dictionary, std::string(24, 'x')), "header");
  }
}

TEST(NpyTest, AShapeWhoseProductWrapsAroundIsRefused) {
  ExpectRefused(Npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, "
                    "4294967296), }",
                    ""),
                "cut short");
}

TEST(NpyTest, WhatIsWrittenIsAlignedAndReadBack) {
  const std::string header = NpyHeader("<i8", {2, 10});
  EXPECT_EQ(header.size() % 64, 0);
  const std::string data(160, 'y');
  const auto array = OpenNpy(WriteTestFile("a.npy", header + data));
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_EQ(array->type, (NpyType{'i', 8}));
  EXPECT_EQ(array->shape, (std::vector<uint64_t>{2, 10}));
  EXPECT_EQ(array->data, data);
  EXPECT_EQ(NpyHeader("<f4", {7}).substr(10, 57),
            "{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }");
}

}  // namespace
}  // namespace varve::cli
