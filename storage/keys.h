#ifndef VARVE_STORAGE_KEYS_H_
#define VARVE_STORAGE_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "storage/record_store.h"

namespace varve::storage {

// Every key and value of the record store. Numbers are big-endian, so that keys sort in their
// order. Every key begins with a namespace's number: a namespace is one range of each column
// family. Number 0 is no namespace's; under it the store keeps what belongs to all.
//
//   family   key                                            value
//   meta     u32 0, 'n'                                     u32 number the next namespace gets
//   meta     u32 0, 'N', name                               u32 namespace, schema
//   meta     u32 0, 'a', u32 namespace                      empty: it is being imported
//   meta     u32 namespace, 'c'                             u64 sequence, u64 next_row, u8 id_type
//   meta     u32 namespace, 'm' [, u16 field]               manifest (storage/manifest.h)
//   meta     u32 namespace, 'p', producer                   u64 batch
//   ids      u32 namespace, id                              u64 row
//   rows     u32 namespace, u64 row                         u64 sequence, id
//   vectors  u32 namespace, u64 row, u16 field              the vector's bytes, as the client sent
//   them
//   attributes  u32 namespace, u64 row                      i64 when it expires, metadata
//   tombstones  u32 namespace, u64 row [, u16 field]        u64 sequence of the commit that killed
//   it
//   updates  u32 namespace, u64 row [, u16 field]           u64 sequence of the commit that last
//   changed its metadata
//
// Where the field is in brackets, it is left out for the default field, 0. Rows without metadata that do
// not expire have no key in `attributes`. Names, producers, ids and schemas are the last part and run to the end. This is on disk: a change
// raises DataDirectory::kFormatVersion. Parsers return DataLoss, naming the key in hexadecimal and
// the length found and expected.

inline constexpr NamespaceNumber kStoreItself = 0;
// The last number a namespace may have: the end of its range is the next number.
inline constexpr NamespaceNumber kNamespaceNumberMax = 0xffff'fffe;
inline constexpr size_t kNamespacePrefixBytes = 4;
inline constexpr size_t kRowKeyBytes = kNamespacePrefixBytes + 8;
inline constexpr size_t kVectorKeyBytes = kRowKeyBytes + 2;

std::string NextNamespaceKey();
std::string NamespaceKey(std::string_view name);
std::string ImportKey(NamespaceNumber number);
std::string CommitStateKey(NamespaceNumber number);
std::string ManifestKey(NamespaceNumber number, FieldNumber field);
std::string ProducerKey(NamespaceNumber number, std::string_view producer);
std::string IdKey(NamespaceNumber number, std::string_view id);
// On the stack: the write path makes two for every record.
std::array<char, kRowKeyBytes> RowKey(NamespaceNumber number, uint64_t row);
std::array<char, kVectorKeyBytes> VectorKey(NamespaceNumber number, uint64_t row,
                                            FieldNumber field);
// Of the families `tombstones` and `updates`.
std::string MarkKey(NamespaceNumber number, uint64_t row, FieldNumber field);

// [NamespaceBegin(n), NamespaceBegin(n + 1)) holds every key of namespace n, in every family.
std::string NamespaceBegin(NamespaceNumber number);
// What all keys that NamespaceKey makes begin with, and those that ImportKey makes.
std::string NamespaceKeyPrefix();
std::string ImportKeyPrefix();

std::string NextNamespaceValue(NamespaceNumber next);
std::string NamespaceValue(NamespaceNumber number, std::string_view schema);
std::string CommitStateValue(const CommitState& state);
std::string ProducerValue(uint64_t batch);
std::array<char, 8> IdValue(uint64_t row);
std::array<char, 8> MarkValue(uint64_t sequence);
std::string AttributesValue(int64_t expires_at, std::string_view attributes);
std::string RowValue(uint64_t sequence, std::string_view id);

// The parts of a value that point into it.
struct NamespaceValueParts {
  NamespaceNumber number = 0;
  std::string_view schema;
};
struct RowValueParts {
  uint64_t sequence = 0;
  std::string_view id;
};

// The name in a key that begins with NamespaceKeyPrefix().
absl::StatusOr<std::string_view> ParseNamespaceKey(std::string_view key);
// The number in a key that begins with ImportKeyPrefix().
absl::StatusOr<NamespaceNumber> ParseImportKey(std::string_view key);
// The id in a key of the family `ids`.
absl::StatusOr<std::string_view> ParseIdKey(std::string_view key);
// The row in a key of the family `rows` or `attributes`.
absl::StatusOr<uint64_t> ParseRowKey(std::string_view key);
// Row and field in a key of the family `vectors`, `tombstones` or `updates`.
struct RowFieldKeyParts {
  uint64_t row = kNoRow;
  FieldNumber field = kDefaultField;
};
absl::StatusOr<RowFieldKeyParts> ParseRowFieldKey(std::string_view key);

// `key` is named in the error.
absl::StatusOr<NamespaceNumber> ParseNextNamespaceValue(std::string_view key,
                                                        std::string_view value);
absl::StatusOr<NamespaceValueParts> ParseNamespaceValue(std::string_view key,
                                                        std::string_view value);
absl::StatusOr<CommitState> ParseCommitStateValue(std::string_view key, std::string_view value);
absl::StatusOr<uint64_t> ParseProducerValue(std::string_view key, std::string_view value);
absl::StatusOr<uint64_t> ParseIdValue(std::string_view key, std::string_view value);
absl::StatusOr<uint64_t> ParseMarkValue(std::string_view key, std::string_view value);
struct AttributesValueParts {
  int64_t expires_at = kNeverExpires;
  std::string_view attributes;
};
absl::StatusOr<AttributesValueParts> ParseAttributesValue(std::string_view key,
                                                          std::string_view value);
absl::StatusOr<RowValueParts> ParseRowValue(std::string_view key, std::string_view value);

// A key as the errors write it: hexadecimal, long keys cut short.
std::string DescribeKey(std::string_view key);

}  // namespace varve::storage

#endif  // VARVE_STORAGE_KEYS_H_
