#ifndef VARVE_STORAGE_TEMPORARY_DIRECTORY_H_
#define VARVE_STORAGE_TEMPORARY_DIRECTORY_H_

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace varve::storage {

// An empty directory for a test or a benchmark, removed with all that is in it when destroyed.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    path_ = (std::filesystem::temp_directory_path() / "varve.XXXXXX").native();
    const char* const test_directory = getenv("TEST_TMPDIR");
    if (test_directory != nullptr) path_ = std::string(test_directory) + "/varve.XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) abort();
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace varve::storage

#endif  // VARVE_STORAGE_TEMPORARY_DIRECTORY_H_
