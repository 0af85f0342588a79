#ifndef VARVE_STORAGE_ROCKS_STATUS_H_
#define VARVE_STORAGE_ROCKS_STATUS_H_

#include <string_view>

#include "absl/status/status.h"
#include "rocksdb/status.h"

namespace varve::storage {

// RocksDB's status as ours; the only table of it. The message is "<subject>: cannot <action>:
// <RocksDB's word>", where the subject is the database's directory.
//
//   DataLoss           stored bytes are damaged, or something that must be there is not
//   ResourceExhausted  the disk or RocksDB's memory is full
//   Unavailable        the disk refuses, or RocksDB is stopping or too busy: a retry may help
//   Internal           we called it wrongly
absl::Status FromRocks(const rocksdb::Status& status, std::string_view subject,
                       std::string_view action);

}  // namespace varve::storage

#endif  // VARVE_STORAGE_ROCKS_STATUS_H_
