#include "clients/cli/input/metadata_file.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/gzip.h"

namespace varve::cli {
namespace {

constexpr std::string_view kJsonLines = ".jsonl";
constexpr std::string_view kGzip = ".gz";
// What a value takes in a message besides the digits or the text it has in JSON: tags, lengths, a
// number in full.
constexpr size_t kValueOverheadBytes = 20;

}  // namespace

bool IsMetadataFileName(std::string_view path) {
  if (path.ends_with(kGzip)) path.remove_suffix(kGzip.size());
  return path.ends_with(kJsonLines);
}

absl::StatusOr<MetadataFile> MetadataFile::Open(const std::string& path) {
  const bool packed = std::string_view(path).ends_with(kGzip);
  absl::StatusOr<MappedFile> file = packed ? OpenGzip(path) : MappedFile::Open(path);
  if (!file.ok()) return file.status();
  return MetadataFile(path, *std::move(file));
}

MetadataFile::MetadataFile(std::string path, MappedFile file)
    : path_(std::move(path)), file_(std::move(file)) {
  const std::string_view text = bytes();
  starts_.push_back(0);
  for (size_t end = text.find('\n'); end != text.npos; end = text.find('\n', end + 1)) {
    starts_.push_back(end + 1);
  }
  // The last line needs no end.
  if (starts_.back() != text.size()) starts_.push_back(text.size());
}

std::string_view MetadataFile::Line(size_t row) const {
  std::string_view line = bytes().substr(starts_[row], starts_[row + 1] - starts_[row]);
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// Before every value stands a colon, a comma or a bracket.
size_t MetadataFile::MessageBytes(size_t row) const {
  const std::string_view line = Line(row);
  const auto values = std::count_if(line.begin(), line.end(),
                                    [](char c) { return c == ':' || c == ',' || c == '['; });
  return line.size() + static_cast<size_t>(values + 1) * kValueOverheadBytes;
}

absl::Status MetadataFile::Read(size_t first, size_t count, const AttributeTypes& types,
                                std::vector<client::Metadata>* rows) const {
  rows->clear();
  rows->reserve(count);
  for (size_t row = first; row < first + count; ++row) {
    absl::StatusOr<client::Metadata> metadata = ParseMetadata(Line(row), types);
    if (!metadata.ok()) {
      return absl::InvalidArgumentError(
          StrCat(path_, ": line ", row + 1, ": ", metadata.status().message()));
    }
    rows->push_back(*std::move(metadata));
  }
  return absl::OkStatus();
}

}  // namespace varve::cli
