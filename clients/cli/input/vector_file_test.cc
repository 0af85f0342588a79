#include "clients/cli/input/vector_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "clients/cli/input/hdf5_file.h"
#include "clients/cli/input/npy.h"
#include "clients/cli/testing/files.h"

namespace varve::cli {
namespace {

using testing::BytesOf;
using ::testing::HasSubstr;
using testing::WriteTestFile;

std::string VecsRow(int32_t dimension, const std::string& elements) {
  return BytesOf<int32_t>({dimension}) + elements;
}

void ExpectRefused(const std::string& path, const std::string& why,
                   std::optional<uint32_t> dimension = std::nullopt) {
  const auto file = VectorFile::Open(path, dimension);
  ASSERT_FALSE(file.ok()) << "wanted: " << why;
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(file.status().message()), HasSubstr(path + ": "));
  EXPECT_THAT(std::string(file.status().message()), HasSubstr(why));
}

TEST(VectorFileTest, NpyOfEveryTypeIsSeenInPlace) {
  struct Case {
    const char* dtype;
    DType wanted;
    size_t size;
  };
  for (const Case& c : {Case{"<f4", DType::kF32, 4}, Case{"<f2", DType::kF16, 2},
                        Case{"|u1", DType::kU8, 1}, Case{"|i1", DType::kI8, 1}}) {
    const std::string path =
        WriteTestFile("a.npy", NpyHeader(c.dtype, {4, 3}) + std::string(12 * c.size, 'x'));
    const auto file = VectorFile::Open(path, std::nullopt);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ(file->dtype(), c.wanted);
    EXPECT_EQ(file->rows(), 4);
    EXPECT_EQ(file->dimension(), 3);
    std::string scratch;
    const TensorView view = file->Rows(1, 2, &scratch);
    EXPECT_EQ(view.rows, 2);
    EXPECT_EQ(view.bytes.size(), 6 * c.size);
    EXPECT_EQ(view.bytes.data(), file->bytes().data() + file->bytes().size() - 9 * c.size);
  }
}

TEST(VectorFileTest, NpyOfOtherTypesIsRefusedWithTheCure) {
  for (const char* dtype : {"<f8", "<i8", "<u2", "|b1"}) {
    const size_t size = dtype[2] - '0';
    ExpectRefused(WriteTestFile("a.npy", NpyHeader(dtype, {2, 3}) + std::string(6 * size, 'x')),
                  "a.astype('float32')");
  }
}

TEST(VectorFileTest, NpyOfOtherShapesIsRefused) {
  ExpectRefused(WriteTestFile("a.npy", NpyHeader("<f4", {6}) + std::string(24, 'x')),
                "has shape (6,), wanted (rows, dimension)");
  ExpectRefused(WriteTestFile("a.npy", NpyHeader("<f4", {1, 2, 3}) + std::string(24, 'x')),
                "has shape (1, 2, 3)");
  ExpectRefused(WriteTestFile("a.npy", NpyHeader("<f4", {5, 0})), "has dimension 0");
  ExpectRefused(WriteTestFile("a.npy", NpyHeader("|u1", {1, 65'536}) + std::string(65'536, 'x')),
                "has dimension 65536, wanted 1 to 65535");
}

TEST(VectorFileTest, RawFloatsNeedTheirDimension) {
  const std::string path = WriteTestFile("a.f32", BytesOf<float>({1, 2, 3, 4, 5, 6}));
  EXPECT_TRUE(NeedsDimension(path));
  const auto file = VectorFile::Open(path, 3);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->rows(), 2);
  std::string scratch;
  EXPECT_EQ(file->Rows(1, 1, &scratch).bytes, BytesOf<float>({4, 5, 6}));
  ExpectRefused(path, "needs its dimension");
  ExpectRefused(path, "holds 24 bytes, wanted a multiple of 16 (dimension 4 of float32)", 4);
  ExpectRefused(path, "dimension 0", 0);
  ExpectRefused(path, "dimension 65536", 65'536);
}

TEST(VectorFileTest, FvecsRowsAreGatheredWithoutTheirPrefix) {
  const std::string path = WriteTestFile("a.fvecs", VecsRow(2, BytesOf<float>({1, 2})) +
                                                        VecsRow(2, BytesOf<float>({3, 4})) +
                                                        VecsRow(2, BytesOf<float>({5, 6})));
  const auto file = VectorFile::Open(path, std::nullopt);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->dtype(), DType::kF32);
  EXPECT_EQ(file->rows(), 3);
  EXPECT_EQ(file->dimension(), 2);
  std::string scratch = "old";
  EXPECT_EQ(file->Rows(1, 2, &scratch).bytes, BytesOf<float>({3, 4, 5, 6}));
  EXPECT_EQ(file->Rows(3, 0, &scratch).bytes, "");
}

TEST(VectorFileTest, BvecsHoldBytes) {
  const auto file =
      VectorFile::Open(WriteTestFile("a.bvecs", VecsRow(3, "abc") + VecsRow(3, "def")), 3);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->dtype(), DType::kU8);
  std::string scratch;
  EXPECT_EQ(file->Rows(0, 2, &scratch).bytes, "abcdef");
}

TEST(VectorFileTest, BrokenVecsAreRefused) {
  const auto bvecs = [](const std::string& content) { return WriteTestFile("a.bvecs", content); };
  ExpectRefused(bvecs(""), "too short");
  ExpectRefused(bvecs("abc"), "too short");
  ExpectRefused(bvecs(VecsRow(0, "")), "begins with dimension 0");
  ExpectRefused(bvecs(VecsRow(-3, "abc")), "begins with dimension -3");
  ExpectRefused(bvecs(VecsRow(65'536, "abc")), "begins with dimension 65536");
  ExpectRefused(bvecs(VecsRow(3, "ab")), "holds 6 bytes, wanted a multiple of 7");
  ExpectRefused(bvecs(VecsRow(3, "abc") + VecsRow(3, "d")), "holds 12 bytes");
  ExpectRefused(bvecs(VecsRow(3, "abc") + VecsRow(2, "def")),
                "row 1 has dimension 2, the first has 3");
}

TEST(VectorFileTest, ADimensionThatIsGivenMustBeRight) {
  ExpectRefused(WriteTestFile("a.bvecs", VecsRow(3, "abc")), "has dimension 3, wanted 4", 4);
}

TEST(VectorFileTest, OtherNamesAreNotVectorFiles) {
  EXPECT_FALSE(IsVectorFileName("vectors.csv"));
  EXPECT_TRUE(IsVectorFileName("dir/vectors.bvecs"));
  ExpectRefused(WriteTestFile("a.csv", "1,2,3"), "wanted a .npy, .f32, .fvecs");
}

TEST(VectorFileTest, ADirectoryIsRefused) {
  EXPECT_EQ(VectorFile::Open(::testing::TempDir() + "/", 3).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(VectorFileTest, OfHdf5OneDatasetIsSeenInPlace) {
  const std::string path = testing::TestPath("sets.hdf5");
  std::filesystem::remove(path);
  const std::string bytes = BytesOf<float>({1, 2, 3, 4, 5, 6});
  for (const Hdf5Shape& shape :
       {Hdf5Shape{.name = "train", .type = {'f', 4}, .rows = 3, .columns = 2},
        Hdf5Shape{.name = "neighbors", .type = {'i', 4}, .rows = 1, .columns = 6},
        Hdf5Shape{.name = "none", .type = {'f', 4}, .rows = 0, .columns = 2}}) {
    auto writer = Hdf5Writer::Open(path, shape);
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE(writer->Write(shape.rows > 0 ? bytes : "").ok());
    ASSERT_TRUE(writer->Close().ok());
  }
  const auto file = VectorFile::Open(path, std::nullopt);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->rows(), 3);
  EXPECT_EQ(file->dimension(), 2);
  std::string scratch;
  EXPECT_EQ(file->Rows(0, 3, &scratch).bytes, bytes);
  EXPECT_TRUE(scratch.empty());
  const auto none = VectorFile::Open(path, 2, "none");
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->rows(), 0);
  const auto integers = VectorFile::Open(path, std::nullopt, "neighbors");
  EXPECT_THAT(std::string(integers.status().message()), HasSubstr("elements of type i4"));
  const auto other = VectorFile::Open(path, 3);
  EXPECT_THAT(std::string(other.status().message()), HasSubstr("has dimension 2, wanted 3"));
}

TEST(VectorFileTest, HdfThatIsCutShortIsRefused) {
  const std::string path = testing::TestPath("cut.hdf5");
  std::filesystem::remove(path);
  auto writer =
      Hdf5Writer::Open(path, {.name = "train", .type = {'f', 4}, .rows = 999, .columns = 5});
  ASSERT_TRUE(writer.ok()) << writer.status();
  ASSERT_TRUE(writer->Write(std::string(999 * 20, 'x')).ok());
  ASSERT_TRUE(writer->Close().ok());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  ExpectRefused(path, "cut short");
}

}  // namespace
}  // namespace varve::cli
