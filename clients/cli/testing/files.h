#ifndef VARVE_CLIENTS_CLI_TESTING_FILES_H_
#define VARVE_CLIENTS_CLI_TESTING_FILES_H_

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace varve::cli::testing {

// A path of this name in the test's own directory.
inline std::string TestPath(const std::string& name) { return ::testing::TempDir() + name; }

// Writes a file and returns its path.
inline std::string WriteTestFile(const std::string& name, std::string_view content) {
  std::string path = TestPath(name);
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  file.close();
  EXPECT_TRUE(file.good()) << path;
  return path;
}

inline std::string ReadTestFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The bytes of numbers as they lie in memory.
template <typename T>
std::string BytesOf(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

}  // namespace varve::cli::testing

#endif  // VARVE_CLIENTS_CLI_TESTING_FILES_H_
