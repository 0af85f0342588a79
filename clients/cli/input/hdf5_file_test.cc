#include "clients/cli/input/hdf5_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5/serial/hdf5.h>

#include <filesystem>
#include <string>
#include <vector>

#include "clients/cli/input/vector_file.h"
#include "clients/cli/testing/files.h"

namespace varve::cli {
namespace {

using testing::BytesOf;
using ::testing::HasSubstr;
using testing::ReadTestFile;
using testing::TestPath;
using testing::WriteTestFile;

std::string FreshPath(const std::string& name) {
  std::string path = TestPath(name);
  std::filesystem::remove(path);
  return path;
}

// A file with one dataset, in two blocks.
void WriteDataset(const std::string& path, const Hdf5Shape& shape, const std::string& bytes) {
  auto writer = Hdf5Writer::Open(path, shape);
  ASSERT_TRUE(writer.ok()) << writer.status();
  const size_t half = shape.rows / 2 * shape.columns * shape.type.size;
  ASSERT_TRUE(writer->Write(std::string_view(bytes).substr(0, half)).ok());
  ASSERT_TRUE(writer->Write(std::string_view(bytes).substr(half)).ok());
  ASSERT_TRUE(writer->Close().ok());
}

// Datasets that our writer does not make, made by the library.
void MakeDataset(const std::string& path, const std::string& name, hid_t type,
                 const std::vector<hsize_t>& extent, const std::vector<hsize_t>& chunk = {}) {
  const Hdf5Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  const int rank = static_cast<int>(extent.size());
  const Hdf5Handle space(H5Screate_simple(rank, extent.data(), nullptr), H5Sclose);
  const Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  if (!chunk.empty()) {
    H5Pset_chunk(list.get(), rank, chunk.data());
    H5Pset_deflate(list.get(), 1);
  }
  const Hdf5Handle dataset(
      H5Dcreate2(file.get(), name.c_str(), type, space.get(), H5P_DEFAULT, list.get(), H5P_DEFAULT),
      H5Dclose);
  ASSERT_TRUE(dataset.valid());
  std::vector<float> numbers;
  for (hsize_t i = 0; i < extent[0] * extent.back(); ++i) numbers.push_back(static_cast<float>(i));
  if (extent.size() == 2 && H5Tget_class(type) != H5T_STRING) {
    ASSERT_GE(
        H5Dwrite(dataset.get(), H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers.data()),
        0);
  }
}

void ExpectRefused(const std::string& path, const std::string& name, absl::StatusCode code,
                   const std::string& why) {
  const auto dataset = Hdf5Dataset::Open(path, name);
  ASSERT_FALSE(dataset.ok()) << "wanted: " << why;
  EXPECT_EQ(dataset.status().code(), code);
  EXPECT_THAT(std::string(dataset.status().message()), HasSubstr(path + ": "));
  EXPECT_THAT(std::string(dataset.status().message()), HasSubstr(why));
}

TEST(Hdf5FileTest, EveryTypeComesBackAsItWasWrittenAndLiesInTheFileInOnePiece) {
  for (const NpyType type : {NpyType{'f', 4}, NpyType{'f', 2}, NpyType{'f', 8}, NpyType{'u', 1},
                             NpyType{'i', 1}, NpyType{'i', 4}, NpyType{'i', 8}}) {
    const std::string path = FreshPath("types.hdf5");
    std::string bytes;
    for (size_t i = 0; i < 5 * 3 * type.size; ++i) bytes.push_back(static_cast<char>(i % 100));
    WriteDataset(path, {.name = "train", .type = type, .rows = 5, .columns = 3}, bytes);
    const auto dataset = Hdf5Dataset::Open(path, "train");
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_EQ(dataset->shape().type, type);
    EXPECT_EQ(dataset->shape().rows, 5);
    EXPECT_EQ(dataset->shape().columns, 3);
    std::string rows;
    ASSERT_TRUE(dataset->Read(1, 3, &rows).ok());
    EXPECT_EQ(rows, bytes.substr(3 * type.size, 9 * type.size)) << TypeText(type);
    ASSERT_TRUE(dataset->Offset().has_value());
    EXPECT_EQ(ReadTestFile(path).substr(*dataset->Offset(), bytes.size()), bytes);
  }
}

TEST(Hdf5FileTest, ADatasetIsAddedToOthersAndReplacesItsLikes) {
  const std::string path = FreshPath("several.hdf5");
  const Hdf5Shape train = {.name = "train", .type = {'f', 4}, .rows = 2, .columns = 2};
  const Hdf5Shape test = {.name = "test", .type = {'f', 4}, .rows = 1, .columns = 2};
  WriteDataset(path, train, BytesOf<float>({1, 2, 3, 4}));
  WriteDataset(path, test, BytesOf<float>({5, 6}));
  WriteDataset(path, train, BytesOf<float>({7, 8, 9, 10}));
  const auto list = ListHdf5(path);
  ASSERT_TRUE(list.ok()) << list.status();
  ASSERT_EQ(list->size(), 2);
  EXPECT_EQ((*list)[0].name, "test");
  EXPECT_EQ((*list)[1].name, "train");
  const auto dataset = Hdf5Dataset::Open(path, "train");
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  std::string rows;
  ASSERT_TRUE(dataset->Read(0, 2, &rows).ok());
  EXPECT_EQ(rows, BytesOf<float>({7, 8, 9, 10}));
}

TEST(Hdf5FileTest, ChunkedAndBigEndianDatasetsAreReadButDoNotLieInOnePiece) {
  const std::string path = FreshPath("others.hdf5");
  for (const bool chunked : {true, false}) {
    const std::vector<hsize_t> chunk =
        chunked ? std::vector<hsize_t>{4, 2} : std::vector<hsize_t>{};
    MakeDataset(path, "train", chunked ? H5T_IEEE_F32LE : H5T_IEEE_F32BE, {10, 3}, chunk);
    const auto dataset = Hdf5Dataset::Open(path, "train");
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    EXPECT_FALSE(dataset->Offset().has_value());
    std::string rows;
    ASSERT_TRUE(dataset->Read(3, 2, &rows).ok());
    EXPECT_EQ(rows, BytesOf<float>({9, 10, 11, 12, 13, 14}));
    const auto mapped = VectorFile::Open(path, std::nullopt);
    EXPECT_THAT(std::string(mapped.status().message()),
                HasSubstr("is in chunks, compressed or not little-endian"));
  }
}

TEST(Hdf5FileTest, WhatIsNoTableOfNumbersIsRefusedByName) {
  const std::string path = FreshPath("refused.hdf5");
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  MakeDataset(path, "train", H5T_IEEE_F32LE, {5});
  ExpectRefused(path, "train", kInvalid, "has 1 dimensions, wanted rows and columns");
  ExpectRefused(path, "test", absl::StatusCode::kNotFound, "has no dataset test; there are: train");
  MakeDataset(path, "train", H5T_STD_U32LE, {5, 2});
  ExpectRefused(path, "train", kInvalid, "holds elements of type u4");
  MakeDataset(path, "train", H5T_C_S1, {5, 2});
  ExpectRefused(path, "train", kInvalid, "holds elements of type ?1");
  MakeDataset(path, "train", H5T_STD_U8LE, {1, 65'536});
  ExpectRefused(path, "train", kInvalid, "has 65536 columns, wanted 1 to 65535");
  MakeDataset(path, "train", H5T_STD_U8LE, {5, 0});
  ExpectRefused(path, "train", kInvalid, "has 0 columns");
  ExpectRefused(WriteTestFile("text.hdf5", "no HDF5"), "train", kInvalid, "is not an HDF5 file");
  ExpectRefused(FreshPath("none.hdf5"), "train", absl::StatusCode::kNotFound, "no such file");
}

TEST(Hdf5FileTest, ChunksThatWouldTakeMuchMemoryAreRefused) {
  const std::string path = FreshPath("chunks.hdf5");
  const Hdf5Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), H5Fclose);
  const hsize_t extent[] = {1'000'000, 100}, chunk[] = {1'000'000, 50};
  const Hdf5Handle space(H5Screate_simple(2, extent, nullptr), H5Sclose);
  const Hdf5Handle list(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_chunk(list.get(), 2, chunk);
  {
    const Hdf5Handle dataset(H5Dcreate2(file.get(), "train", H5T_IEEE_F32LE, space.get(),
                                        H5P_DEFAULT, list.get(), H5P_DEFAULT),
                             H5Dclose);
    ASSERT_TRUE(dataset.valid());
    H5Fflush(file.get(), H5F_SCOPE_GLOBAL);
  }
  ExpectRefused(path, "train", absl::StatusCode::kInvalidArgument,
                "is in chunks of 1000000 x 50, wanted rows whose chunks have at most 256 MiB");
}

TEST(Hdf5FileTest, AFileThatIsCutShortIsRefusedOrFailsToRead) {
  const std::string path = FreshPath("cut.hdf5");
  MakeDataset(path, "train", H5T_IEEE_F32LE, {1000, 4});
  const std::string whole = ReadTestFile(path);
  for (const size_t size : {whole.size() - 1, whole.size() / 2, size_t{700}, size_t{100}}) {
    WriteTestFile("cut.hdf5", std::string_view(whole).substr(0, size));
    const auto dataset = Hdf5Dataset::Open(path, "train");
    std::string rows;
    EXPECT_FALSE(dataset.ok() && dataset->Read(0, 1000, &rows).ok()) << size;
  }
}

TEST(Hdf5FileTest, ADatasetsNameIsOneWord) {
  const Hdf5Shape shape = {.name = "a/b", .type = {'f', 4}, .rows = 1, .columns = 1};
  EXPECT_FALSE(Hdf5Writer::Open(FreshPath("name.hdf5"), shape).ok());
  EXPECT_FALSE(Hdf5Writer::Open(WriteTestFile("other.hdf5", "no HDF5"), shape).ok());
}

}  // namespace
}  // namespace varve::cli
