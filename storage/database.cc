#include "storage/database.h"

#include <cstdarg>
#include <filesystem>

#include "absl/memory/memory.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "rocksdb/env.h"
#include "rocksdb/utilities/checkpoint.h"
#include "storage/files.h"
#include "storage/rocks_status.h"

namespace varve::storage {
namespace {

constexpr absl::Duration kResumeInterval = absl::Seconds(1);

constexpr size_t kReadaheadBytes = size_t{1} << 20;

// RocksDB's own log is a file in the directory, which is not to be written to.
class NoLog final : public rocksdb::Logger {
 public:
  using Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

rocksdb::Slice ToSlice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

}  // namespace

void Batch::Note(rocksdb::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

void Batch::Put(Family family, std::string_view key, std::string_view value) {
  Note(batch_.Put(handles_[static_cast<size_t>(family)], ToSlice(key), ToSlice(value)));
}

void Batch::Delete(Family family, std::string_view key) {
  Note(batch_.Delete(handles_[static_cast<size_t>(family)], ToSlice(key)));
}

void Batch::DeleteRange(Family family, std::string_view begin, std::string_view end) {
  Note(batch_.DeleteRange(handles_[static_cast<size_t>(family)], ToSlice(begin), ToSlice(end)));
}

std::string Values::Take(size_t i) {
  rocksdb::PinnableSlice& value = values_[i];
  return value.IsPinned() ? value.ToString() : std::move(*value.GetSelf());
}

absl::StatusOr<bool> Walk::Next() {
  if (!started_) {
    iterator_->Seek(begin_);
    started_ = true;
  } else if (iterator_->Valid()) {  // at the end it stays there
    iterator_->Next();
  }
  if (iterator_->Valid()) return true;
  VARVE_RETURN_IF_ERROR(FromRocks(iterator_->status(), directory_, "walk over keys"));
  return false;
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& directory,
                                                         const RecordStoreOptions& options) {
  VARVE_RETURN_IF_ERROR(CreateDirectories(directory));
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<SyncedMark> mark, SyncedMark::Open(directory));

  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> opened;
  VARVE_RETURN_IF_ERROR(FromRocks(
      rocksdb::DB::Open(DatabaseOptions(options), directory, ColumnFamilies(options), &opened, &db),
      directory, "open the database"));
  Handles handles;
  std::copy(opened.begin(), opened.end(), handles.begin());
  auto database = absl::WrapUnique(
      new Database(directory, std::unique_ptr<rocksdb::DB>(db), handles, std::move(mark)));
  VARVE_RETURN_IF_ERROR(database->CheckRecovered());
  return database;
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenToRead(const std::string& directory,
                                                               const RecordStoreOptions& options) {
  if (!std::filesystem::exists(StrCat(directory, "/CURRENT"))) {
    return absl::NotFoundError(StrCat(directory, ": holds no record store"));
  }
  rocksdb::DBOptions db_options = DatabaseOptions(options);
  db_options.create_if_missing = false;
  db_options.info_log = std::make_shared<NoLog>();
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> opened;
  VARVE_RETURN_IF_ERROR(FromRocks(
      rocksdb::DB::OpenForReadOnly(db_options, directory, ColumnFamilies(options), &opened, &db),
      directory, "open the database to read"));
  Handles handles;
  std::copy(opened.begin(), opened.end(), handles.begin());
  return absl::WrapUnique(
      new Database(directory, std::unique_ptr<rocksdb::DB>(db), handles, /*mark=*/nullptr));
}

Database::Database(std::string directory, std::unique_ptr<rocksdb::DB> db, const Handles& handles,
                   std::unique_ptr<SyncedMark> mark)
    : directory_(std::move(directory)),
      db_(std::move(db)),
      handles_(handles),
      mark_(std::move(mark)) {}

Database::~Database() {
  for (rocksdb::ColumnFamilyHandle* handle : handles_) db_->DestroyColumnFamilyHandle(handle);
}

absl::Status Database::CheckRecovered() const {
  const uint64_t recovered = db_->GetLatestSequenceNumber();
  if (recovered >= mark_->sequence()) return absl::OkStatus();
  return absl::DataLossError(StrCat(directory_, ": the log was readable up to write ", recovered,
                                    ", but had been synced up to write ", mark_->sequence(),
                                    ": acknowledged writes are lost. Restore a backup, or delete ",
                                    mark_->path(), " to go on without them"));
}

absl::Status Database::Write(const rocksdb::WriteOptions& options, Batch* batch) {
  VARVE_RETURN_IF_ERROR(FromRocks(batch->status_, directory_, "build a write"));
  if (refused_) TryToResume();
  const rocksdb::Status status = db_->Write(options, &batch->batch_);
  refused_ = !status.ok();
  if (status.severity() >= rocksdb::Status::kFatalError) broken_ = true;
  return FromRocks(status, directory_, "write");
}

void Database::TryToResume() {
  MutexLock lock(&resume_mu_);
  const absl::Time now = absl::Now();
  if (now - resumed_at_ < kResumeInterval) return;
  resumed_at_ = now;
  db_->Resume().PermitUncheckedError();  // the write will tell
}

absl::Status Database::Write(Batch batch) { return Write(rocksdb::WriteOptions(), &batch); }

absl::Status Database::WriteSynced(Batch batch) {
  rocksdb::WriteOptions options;
  options.sync = true;
  const uint64_t before = db_->GetLatestSequenceNumber();
  VARVE_RETURN_IF_ERROR(Write(options, &batch));
  // Each change takes one number, after `before`; what other writers added since is not counted. A mark
  // that cannot be raised claims less than it might. The write is there all the same, and to say that it
  // failed would have the caller undo what it is about.
  mark_->Raise(before + static_cast<uint64_t>(batch.batch_.Count())).IgnoreError();
  return absl::OkStatus();
}

absl::Status Database::SyncLog() {
  // Taken first: a write that comes meanwhile may or may not make it.
  const uint64_t sequence = db_->GetLatestSequenceNumber();
  // Syncs every log that has unsynced writes, not only the newest.
  VARVE_RETURN_IF_ERROR(FromRocks(db_->SyncWAL(), directory_, "sync the log"));
  mark_->Raise(sequence).IgnoreError();  // as above
  return absl::OkStatus();
}

Snapshot Database::TakeSnapshot() const {
  rocksdb::DB* const db = db_.get();
  return Snapshot(db->GetSnapshot(),
                  [db](const rocksdb::Snapshot* snapshot) { db->ReleaseSnapshot(snapshot); });
}

absl::StatusOr<std::optional<std::string>> Database::Get(Family family,
                                                         std::string_view key) const {
  std::string value;
  const rocksdb::Status status =
      db_->Get(rocksdb::ReadOptions(), handle(family), ToSlice(key), &value);
  if (status.IsNotFound()) return std::nullopt;
  VARVE_RETURN_IF_ERROR(FromRocks(status, directory_, "read a key"));
  return value;
}

absl::StatusOr<Values> Database::MultiGet(Family family, const Snapshot& snapshot,
                                          const std::vector<std::string_view>& keys) const {
  rocksdb::ReadOptions options;
  options.snapshot = snapshot.get();
  const std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  Values found(keys.size());
  db_->MultiGet(options, handle(family), slices.size(), slices.data(), found.values_.data(),
                found.statuses_.data());
  for (const rocksdb::Status& status : found.statuses_) {
    if (status.IsNotFound()) continue;
    VARVE_RETURN_IF_ERROR(FromRocks(status, directory_, "read keys"));
  }
  return found;
}

std::unique_ptr<Walk> Database::NewWalk(Family family, Snapshot snapshot, std::string begin,
                                        std::string end) const {
  auto walk =
      absl::WrapUnique(new Walk(directory_, std::move(snapshot), std::move(begin), std::move(end)));
  rocksdb::ReadOptions options;
  options.snapshot = walk->snapshot_.get();
  options.iterate_upper_bound = &walk->end_slice_;
  options.readahead_size = kReadaheadBytes;
  options.fill_cache = false;
  walk->iterator_.reset(db_->NewIterator(options, handle(family)));
  return walk;
}

absl::Status Database::Flush() {
  const std::vector<rocksdb::ColumnFamilyHandle*> families(handles_.begin(), handles_.end());
  return FromRocks(db_->Flush(rocksdb::FlushOptions(), families), directory_, "flush");
}

bool Database::NeedsReopening() {
  constexpr std::string_view kProbe = "PROBE";
  if (!broken_ || !WriteFileAtomically(directory_, kProbe, "").ok()) return false;
  std::error_code ignored;
  std::filesystem::remove(StrCat(directory_, "/", kProbe), ignored);
  return true;
}

absl::Status Database::Checkpoint(const std::string& directory) const {
  rocksdb::Checkpoint* made = nullptr;
  VARVE_RETURN_IF_ERROR(
      FromRocks(rocksdb::Checkpoint::Create(db_.get(), &made), directory_, "prepare a checkpoint"));
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  // RocksDB wants it absolute.
  const std::string absolute = std::filesystem::absolute(directory).lexically_normal().string();
  return FromRocks(checkpoint->CreateCheckpoint(absolute), directory, "write a checkpoint");
}

absl::Status Database::Compact(Family family, std::string_view begin, std::string_view end,
                               std::atomic<bool>* stop) {
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.canceled = stop;
  // Whatever the age of the blob file that a value lies in: else most of what is dead would stay.
  options.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
  options.blob_garbage_collection_age_cutoff = 1.0;
  const rocksdb::Slice first = ToSlice(begin);
  const rocksdb::Slice last = ToSlice(end);
  return FromRocks(db_->CompactRange(options, handle(family), &first, &last), directory_,
                   "compact");
}

StoreStats Database::Stats() const {
  using Properties = rocksdb::DB::Properties;
  const auto of_database = [this](const std::string& property) {
    uint64_t value = 0;
    return db_->GetIntProperty(property, &value) ? value : 0;
  };
  const auto of_all_families = [this](const std::string& property) {
    uint64_t value = 0;
    return db_->GetAggregatedIntProperty(property, &value) ? value : 0;
  };
  StoreStats stats{
      .memtable_bytes = of_all_families(Properties::kSizeAllMemTables),
      .block_cache_bytes = of_database(Properties::kBlockCacheUsage),  // one cache for all families
      .table_reader_bytes = of_all_families(Properties::kEstimateTableReadersMem),
      .table_bytes = of_all_families(Properties::kLiveSstFilesSize),
      .blob_bytes = of_all_families(Properties::kLiveBlobFileSize),
      .pending_compaction_bytes = of_all_families(Properties::kEstimatePendingCompactionBytes),
      .running_flushes = of_database(Properties::kNumRunningFlushes),
      .running_compactions = of_database(Properties::kNumRunningCompactions),
      .background_errors = of_all_families(Properties::kBackgroundErrors),
      .delayed_write_rate = of_database(Properties::kActualDelayedWriteRate),
      .writes_stopped = of_database(Properties::kIsWriteStopped) != 0};
  // Files come and go while we look: one that is gone is not counted.
  std::error_code ignored;
  for (std::filesystem::directory_iterator it(directory_, ignored), end; it != end;
       it.increment(ignored)) {
    if (it->path().extension() != ".log") continue;
    const uintmax_t bytes = it->file_size(ignored);
    if (!ignored) stats.log_bytes += bytes;
  }
  return stats;
}

}  // namespace varve::storage
