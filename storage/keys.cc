#include "storage/keys.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "storage/big_endian.h"

namespace varve::storage {
namespace {

constexpr char kNextNamespaceTag = 'n';
constexpr char kNamespaceTag = 'N';
constexpr char kImportTag = 'a';
constexpr char kCommitStateTag = 'c';
constexpr char kManifestTag = 'm';
constexpr char kProducerTag = 'p';

constexpr size_t kDescribedKeyBytesMax = 64;

std::string MetaKey(NamespaceNumber number, char tag, std::string_view rest) {
  return StrCat(View(BigEndian(number)), std::string_view(&tag, 1), rest);
}

absl::Status WrongLength(std::string_view what, std::string_view key, size_t found,
                         std::string_view expected) {
  return absl::DataLossError(
      StrCat(what, " of key ", DescribeKey(key), " has ", found, " bytes, expected ", expected));
}

absl::Status CheckValueLength(std::string_view key, std::string_view value, size_t expected) {
  if (value.size() == expected) return absl::OkStatus();
  return WrongLength("the value", key, value.size(), StrCat(expected));
}

absl::Status CheckValueLengthAtLeast(std::string_view key, std::string_view value, size_t least) {
  if (value.size() >= least) return absl::OkStatus();
  return WrongLength("the value", key, value.size(), StrCat("at least ", least));
}

template <typename T>
absl::StatusOr<T> ParseNumber(std::string_view key, std::string_view value) {
  VARVE_RETURN_IF_ERROR(CheckValueLength(key, value, sizeof(T)));
  return LoadBigEndian<T>(value.data());
}

}  // namespace

std::string NextNamespaceKey() { return MetaKey(kStoreItself, kNextNamespaceTag, ""); }

std::string NamespaceKey(std::string_view name) {
  return MetaKey(kStoreItself, kNamespaceTag, name);
}

std::string ImportKey(NamespaceNumber number) {
  return MetaKey(kStoreItself, kImportTag, View(BigEndian(number)));
}

std::string CommitStateKey(NamespaceNumber number) { return MetaKey(number, kCommitStateTag, ""); }

std::string ManifestKey(NamespaceNumber number, FieldNumber field) {
  const auto bytes = BigEndian(field);
  return MetaKey(number, kManifestTag, field == kDefaultField ? "" : View(bytes));
}

std::string ProducerKey(NamespaceNumber number, std::string_view producer) {
  return MetaKey(number, kProducerTag, producer);
}

std::string IdKey(NamespaceNumber number, std::string_view id) {
  return StrCat(View(BigEndian(number)), id);
}

std::array<char, kRowKeyBytes> RowKey(NamespaceNumber number, uint64_t row) {
  std::array<char, kRowKeyBytes> key;
  StoreBigEndian(number, key.data());
  StoreBigEndian(row, key.data() + kNamespacePrefixBytes);
  return key;
}

std::array<char, kVectorKeyBytes> VectorKey(NamespaceNumber number, uint64_t row,
                                            FieldNumber field) {
  std::array<char, kVectorKeyBytes> key;
  StoreBigEndian(number, key.data());
  StoreBigEndian(row, key.data() + kNamespacePrefixBytes);
  StoreBigEndian(field, key.data() + kRowKeyBytes);
  return key;
}

std::string MarkKey(NamespaceNumber number, uint64_t row, FieldNumber field) {
  return field == kDefaultField ? std::string(View(RowKey(number, row)))
                                : std::string(View(VectorKey(number, row, field)));
}

std::string NamespaceBegin(NamespaceNumber number) { return std::string(View(BigEndian(number))); }

std::string NamespaceKeyPrefix() { return NamespaceKey(""); }

std::string ImportKeyPrefix() { return MetaKey(kStoreItself, kImportTag, ""); }

std::string NextNamespaceValue(NamespaceNumber next) { return std::string(View(BigEndian(next))); }

std::string NamespaceValue(NamespaceNumber number, std::string_view schema) {
  return StrCat(View(BigEndian(number)), schema);
}

std::string CommitStateValue(const CommitState& state) {
  return StrCat(View(BigEndian(state.sequence)), View(BigEndian(state.next_row)),
                View(BigEndian(state.id_type)));
}

std::string ProducerValue(uint64_t batch) { return std::string(View(BigEndian(batch))); }

std::array<char, 8> IdValue(uint64_t row) { return BigEndian(row); }

std::array<char, 8> MarkValue(uint64_t sequence) { return BigEndian(sequence); }

std::string AttributesValue(int64_t expires_at, std::string_view attributes) {
  return StrCat(View(BigEndian(static_cast<uint64_t>(expires_at))), attributes);
}

std::string RowValue(uint64_t sequence, std::string_view id) {
  return StrCat(View(BigEndian(sequence)), id);
}

absl::StatusOr<NamespaceNumber> ParseImportKey(std::string_view key) {
  const size_t prefix = ImportKeyPrefix().size();
  if (key.size() != prefix + sizeof(NamespaceNumber)) {
    return WrongLength("the whole", key, key.size(), StrCat(prefix + sizeof(NamespaceNumber)));
  }
  return LoadBigEndian<NamespaceNumber>(key.data() + prefix);
}

absl::StatusOr<std::string_view> ParseNamespaceKey(std::string_view key) {
  const size_t prefix = kNamespacePrefixBytes + sizeof(kNamespaceTag);
  if (key.size() < prefix) {
    return WrongLength("the name", key, key.size(), StrCat("at least ", prefix));
  }
  return key.substr(prefix);
}

absl::StatusOr<std::string_view> ParseIdKey(std::string_view key) {
  if (key.size() < kNamespacePrefixBytes) {
    return WrongLength("the id", key, key.size(), StrCat("at least ", kNamespacePrefixBytes));
  }
  return key.substr(kNamespacePrefixBytes);
}

absl::StatusOr<uint64_t> ParseRowKey(std::string_view key) {
  if (key.size() != kRowKeyBytes) {
    return WrongLength("the row", key, key.size(), StrCat(kRowKeyBytes));
  }
  return LoadBigEndian<uint64_t>(key.data() + kNamespacePrefixBytes);
}

absl::StatusOr<RowFieldKeyParts> ParseRowFieldKey(std::string_view key) {
  if (key.size() != kVectorKeyBytes) {
    VARVE_ASSIGN_OR_RETURN(const uint64_t row, ParseRowKey(key));
    return RowFieldKeyParts{.row = row};
  }
  return RowFieldKeyParts{.row = LoadBigEndian<uint64_t>(key.data() + kNamespacePrefixBytes),
                          .field = LoadBigEndian<FieldNumber>(key.data() + kRowKeyBytes)};
}

absl::StatusOr<NamespaceNumber> ParseNextNamespaceValue(std::string_view key,
                                                        std::string_view value) {
  return ParseNumber<NamespaceNumber>(key, value);
}

absl::StatusOr<NamespaceValueParts> ParseNamespaceValue(std::string_view key,
                                                        std::string_view value) {
  const size_t prefix = sizeof(NamespaceNumber);
  VARVE_RETURN_IF_ERROR(CheckValueLengthAtLeast(key, value, prefix));
  return NamespaceValueParts{.number = LoadBigEndian<NamespaceNumber>(value.data()),
                             .schema = value.substr(prefix)};
}

absl::StatusOr<CommitState> ParseCommitStateValue(std::string_view key, std::string_view value) {
  VARVE_RETURN_IF_ERROR(CheckValueLength(key, value, 17));
  return CommitState{.sequence = LoadBigEndian<uint64_t>(value.data()),
                     .next_row = LoadBigEndian<uint64_t>(value.data() + 8),
                     .id_type = LoadBigEndian<uint8_t>(value.data() + 16)};
}

absl::StatusOr<uint64_t> ParseProducerValue(std::string_view key, std::string_view value) {
  return ParseNumber<uint64_t>(key, value);
}

absl::StatusOr<uint64_t> ParseIdValue(std::string_view key, std::string_view value) {
  return ParseNumber<uint64_t>(key, value);
}

absl::StatusOr<uint64_t> ParseMarkValue(std::string_view key, std::string_view value) {
  return ParseNumber<uint64_t>(key, value);
}

absl::StatusOr<AttributesValueParts> ParseAttributesValue(std::string_view key,
                                                          std::string_view value) {
  const size_t prefix = sizeof(uint64_t);
  VARVE_RETURN_IF_ERROR(CheckValueLengthAtLeast(key, value, prefix));
  return AttributesValueParts{
      .expires_at = static_cast<int64_t>(LoadBigEndian<uint64_t>(value.data())),
      .attributes = value.substr(prefix)};
}

absl::StatusOr<RowValueParts> ParseRowValue(std::string_view key, std::string_view value) {
  const size_t prefix = sizeof(uint64_t);
  VARVE_RETURN_IF_ERROR(CheckValueLengthAtLeast(key, value, prefix));
  return RowValueParts{.sequence = LoadBigEndian<uint64_t>(value.data()),
                       .id = value.substr(prefix)};
}

std::string DescribeKey(std::string_view key) {
  const bool cut = key.size() > kDescribedKeyBytesMax;
  return StrCat("0x",
                absl::BytesToHexString({key.data(), std::min(key.size(), kDescribedKeyBytesMax)}),
                cut ? "..." : "");
}

}  // namespace varve::storage
