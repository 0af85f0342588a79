#ifndef VARVE_STORAGE_ROCKS_OPTIONS_H_
#define VARVE_STORAGE_ROCKS_OPTIONS_H_

#include <cstddef>
#include <vector>

#include "rocksdb/db.h"
#include "rocksdb/options.h"
#include "storage/record_store.h"

namespace varve::storage {

// The column families, in the order in which ColumnFamilies() describes them. keys.h says what is
// in each; RocksDB wants `default` to exist, and nothing is in it.
enum class Family : size_t {
  kDefault,
  kMeta,
  kIds,
  kRows,
  kVectors,
  kTombstones,
  kAttributes,
  kUpdates
};
inline constexpr size_t kFamilyCount = 8;

// How RocksDB is tuned for this store; each choice has its reason in the .cc.
rocksdb::DBOptions DatabaseOptions(const RecordStoreOptions& options);
std::vector<rocksdb::ColumnFamilyDescriptor> ColumnFamilies(const RecordStoreOptions& options);

}  // namespace varve::storage

#endif  // VARVE_STORAGE_ROCKS_OPTIONS_H_
