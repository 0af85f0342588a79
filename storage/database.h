#ifndef VARVE_STORAGE_DATABASE_H_
#define VARVE_STORAGE_DATABASE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/mutex.h"
#include "rocksdb/db.h"
#include "rocksdb/write_batch.h"
#include "storage/record_store.h"
#include "storage/rocks_options.h"
#include "storage/synced_mark.h"

namespace varve::storage {

// Changes that are written as one. Not thread-safe. An error in building it shows when it is
// written.
class Batch {
 public:
  // `bytes`: what Bytes() says of all changes together, so that the buffer is allocated once.
  explicit Batch(const std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount>& handles,
                 size_t bytes = 0)
      : handles_(handles), batch_(bytes) {}

  // Room one change takes at most.
  static constexpr size_t Bytes(size_t key, size_t value) { return kEntryBytes + key + value; }

  void Put(Family family, std::string_view key, std::string_view value);
  void Delete(Family family, std::string_view key);
  // [begin, end)
  void DeleteRange(Family family, std::string_view begin, std::string_view end);
  size_t bytes() const { return batch_.GetDataSize(); }

 private:
  friend class Database;
  static constexpr size_t kEntryBytes = 1 + 1 + 5 + 5;  // kind, family, two varint lengths

  void Note(rocksdb::Status status);

  const std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount>& handles_;
  rocksdb::WriteBatch batch_;
  rocksdb::Status status_;
};

// What Database::MultiGet found: a value or nothing for each key, in the order of the keys.
class Values {
 public:
  explicit Values(size_t size) : values_(size), statuses_(size) {}

  bool has(size_t i) const { return statuses_[i].ok(); }
  // Valid while this is.
  std::string_view view(size_t i) const { return {values_[i].data(), values_[i].size()}; }
  // The value's bytes, without a copy where RocksDB had to make one already. Call it once.
  std::string Take(size_t i);

 private:
  friend class Database;
  std::vector<rocksdb::PinnableSlice> values_;
  std::vector<rocksdb::Status> statuses_;  // OK or NotFound
};

// One moment of the database; whoever reads with it sees exactly what was written before.
using Snapshot = std::shared_ptr<const rocksdb::Snapshot>;

// A walk over the keys of one range, in order, as of one moment. Not thread-safe; must not outlive
// the database.
class Walk {
 public:
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  // Moves to the next key (at first, to the first); false at the end.
  absl::StatusOr<bool> Next();
  // Valid until the next call of Next().
  std::string_view key() const { return {iterator_->key().data(), iterator_->key().size()}; }
  std::string_view value() const { return {iterator_->value().data(), iterator_->value().size()}; }

 private:
  friend class Database;
  Walk(std::string directory, Snapshot snapshot, std::string begin, std::string end)
      : directory_(std::move(directory)),
        snapshot_(std::move(snapshot)),
        begin_(std::move(begin)),
        end_(std::move(end)) {}

  const std::string directory_;
  const Snapshot snapshot_;  // the iterator asks it again at every file it opens
  const std::string begin_;
  const std::string end_;
  const rocksdb::Slice end_slice_{end_};  // RocksDB keeps a pointer to it
  bool started_ = false;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// Database is RocksDB as this room uses it: its families, its options, its errors as absl::Status
// and the check that recovery lost nothing that had been synced. It knows nothing of what is
// stored.
//
// Thread-safe. Errors are those of FromRocks; a key that is not there is not an error.
class Database {
 public:
  // Opens or creates it. DataLoss: the log is damaged before the point up to which it was synced.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& directory,
                                                        const RecordStoreOptions& options);
  // Opens it and writes nothing: what would is an error. NotFound: there is none.
  static absl::StatusOr<std::unique_ptr<Database>> OpenToRead(const std::string& directory,
                                                              const RecordStoreOptions& options);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  Batch NewBatch(size_t bytes = 0) const { return Batch(handles_, bytes); }

  // Writes all of a batch or nothing. When it returns OK, it survives a killed process.
  absl::Status Write(Batch batch);
  // The same, and it survives power loss.
  absl::Status WriteSynced(Batch batch);
  // Makes everything written before this call survive power loss.
  absl::Status SyncLog();

  Snapshot TakeSnapshot() const;
  // Reads see the present state where `snapshot` is null.
  absl::StatusOr<std::optional<std::string>> Get(Family family, std::string_view key) const;
  absl::StatusOr<Values> MultiGet(Family family, const Snapshot& snapshot,
                                  const std::vector<std::string_view>& keys) const;
  // A walk over [begin, end). It reads ahead and leaves the block cache to others.
  std::unique_ptr<Walk> NewWalk(Family family, Snapshot snapshot, std::string begin,
                                std::string end) const;

  // Writes what is in memory to tables, so that the log may go: a start has nothing to replay.
  absl::Status Flush();

  // Whether it refuses all writes for good, and the disk does not any more: see RecordStore.
  bool NeedsReopening();

  // A copy as of one moment in `directory`, which must not exist: hard links where it can.
  absl::Status Checkpoint(const std::string& directory) const;

  // Rewrites [begin, end) without what has been deleted from it; returns early once `stop` is true.
  absl::Status Compact(Family family, std::string_view begin, std::string_view end,
                       std::atomic<bool>* stop);

  StoreStats Stats() const;

 private:
  using Handles = std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount>;

  Database(std::string directory, std::unique_ptr<rocksdb::DB> db, const Handles& handles,
           std::unique_ptr<SyncedMark> mark);

  absl::Status Write(const rocksdb::WriteOptions& options, Batch* batch);
  // After a failed write RocksDB refuses all others until it is told to try again: done here, at most
  // once a second.
  void TryToResume() ABSL_LOCKS_EXCLUDED(resume_mu_);
  absl::Status CheckRecovered() const;
  rocksdb::ColumnFamilyHandle* handle(Family family) const {
    return handles_[static_cast<size_t>(family)];
  }

  const std::string directory_;
  const std::unique_ptr<rocksdb::DB> db_;
  const Handles handles_;                   // owned; destroyed before db_
  const std::unique_ptr<SyncedMark> mark_;  // null when opened to read
  std::atomic<bool> refused_ = false;       // the last write failed
  std::atomic<bool> broken_ = false;        // and there is no resuming
  Mutex resume_mu_;
  absl::Time resumed_at_ ABSL_GUARDED_BY(resume_mu_) = absl::InfinitePast();
};

}  // namespace varve::storage

#endif  // VARVE_STORAGE_DATABASE_H_
