#include "storage/rocks_options.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "base/give_way.h"
#include "rocksdb/cache.h"
#include "rocksdb/convenience.h"
#include "rocksdb/filter_policy.h"
#include "rocksdb/rate_limiter.h"
#include "rocksdb/table.h"

namespace varve::storage {
namespace {

constexpr size_t kKiB = size_t{1} << 10;
constexpr size_t kMiB = size_t{1} << 20;

constexpr double kFilterBitsPerKey = 10;  // one false hit in a hundred

// LZ4 where this build of RocksDB has it; it costs next to nothing and halves keys that share
// prefixes.
rocksdb::CompressionType KeyCompression() {
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  const bool has_lz4 =
      std::find(supported.begin(), supported.end(), rocksdb::kLZ4Compression) != supported.end();
  return has_lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

// What all families share.
rocksdb::ColumnFamilyOptions CommonOptions(const std::shared_ptr<rocksdb::Cache>& cache,
                                           size_t write_buffer_bytes) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = 8 * kKiB;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kFilterBitsPerKey));
  // Filters and indexes stay in memory outside the cache: about two bytes a row, little beside what
  // the row costs in the vector index, and a lookup of new ids never waits for one to be read.
  table.cache_index_and_filter_blocks = false;

  rocksdb::ColumnFamilyOptions family;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  family.write_buffer_size = write_buffer_bytes;
  family.compression = KeyCompression();
  family.level_compaction_dynamic_level_bytes = true;
  return family;
}

rocksdb::ColumnFamilyOptions IdsOptions(rocksdb::ColumnFamilyOptions family) {
  // Every batch asks for all of its ids and in a bulk load none exists: filters answer that, in
  // memtables too.
  family.memtable_whole_key_filtering = true;
  family.memtable_prefix_bloom_size_ratio = 0.05;
  return family;
}

rocksdb::ColumnFamilyOptions VectorsOptions(rocksdb::ColumnFamilyOptions family) {
  family.max_write_buffer_number = 4;  // ingest goes on while two are being flushed
  // Vectors lie in blob files, which compaction does not rewrite; tables hold their keys alone.
  family.enable_blob_files = true;
  family.min_blob_size = 256;
  family.blob_file_size = 256 * kMiB;
  family.blob_compression_type = rocksdb::kNoCompression;  // floats do not compress
  // Dead vectors give their space back: the older half of the blob files is rewritten when half of
  // it is garbage.
  family.enable_blob_garbage_collection = true;
  family.blob_garbage_collection_age_cutoff = 0.5;
  family.blob_garbage_collection_force_threshold = 0.5;
  family.blob_compaction_readahead_size = 2 * kMiB;
  return family;
}

// RocksDB asks a rate limiter before each piece that compaction reads or writes. This one lets all of
// them pass, but gives way to others first. Flushes, which writers may wait for, pass at once.
class GivingWay final : public rocksdb::RateLimiter {
 public:
  GivingWay() : RateLimiter(Mode::kAllIo) {}
  using RateLimiter::Request;
  void Request(int64_t /*bytes*/, rocksdb::Env::IOPriority priority,
               rocksdb::Statistics* /*statistics*/) override {
    if (priority == rocksdb::Env::IO_LOW) GiveWay();
  }
  int64_t GetSingleBurstBytes() const override { return kPieceBytes; }
  void SetBytesPerSecond(int64_t /*bytes*/) override {}
  int64_t GetBytesPerSecond() const override { return std::numeric_limits<int64_t>::max(); }
  int64_t GetTotalBytesThrough(rocksdb::Env::IOPriority /*priority*/) const override { return 0; }
  int64_t GetTotalRequests(rocksdb::Env::IOPriority /*priority*/) const override { return 0; }

 private:
  static constexpr int64_t kPieceBytes = 64 * kKiB;
};

}  // namespace

rocksdb::DBOptions DatabaseOptions(const RecordStoreOptions& options) {
  rocksdb::DBOptions db;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  // After kill -9 the log's tail may be torn; after a power cut its unsynced part may be anything.
  // Both must open, with all that comes before the damage: point in time. (TolerateCorruptedTail
  // would refuse the second, though nothing that was acknowledged as synced is hurt.) What point in
  // time cannot tell is damage to the synced part, which it would drop in silence: SyncedMark does.
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  // Bounds what a start replays: above, families that fill slowly are flushed so that logs can go.
  db.max_total_wal_size = 2 * options.write_buffer_bytes;
  db.max_background_jobs = options.background_threads;
  db.rate_limiter = std::make_shared<GivingWay>();
  // Writes back as it goes, so that an fsync finds little left to do.
  db.bytes_per_sync = kMiB;
  db.wal_bytes_per_sync = kMiB;
  // What is copied into it is still in the core's cache when it is written out; a larger one is
  // slower.
  db.writable_file_max_buffer_size = 128 * kKiB;
  // Below the 1,024 descriptors that a process has by default; connections need some as well.
  db.max_open_files = 512;
  // Whoever ends a scan does not delete files on behalf of compaction.
  db.avoid_unnecessary_blocking_io = true;
  // RocksDB's own log, records/LOG: a few MB, and no statistics written into it.
  db.keep_log_file_num = 3;
  db.max_log_file_size = 4 * kMiB;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

std::vector<rocksdb::ColumnFamilyDescriptor> ColumnFamilies(const RecordStoreOptions& options) {
  const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  const size_t small_buffer = std::max(options.write_buffer_bytes / 4, kMiB);
  const auto common = CommonOptions(cache, small_buffer);
  const auto vectors = CommonOptions(cache, options.write_buffer_bytes);
  return {{rocksdb::kDefaultColumnFamilyName, common},
          {"meta", common},
          {"ids", IdsOptions(common)},
          {"rows", common},
          {"vectors", VectorsOptions(vectors)},
          {"tombstones", common},
          {"attributes", common},
          {"updates", common}};
}

}  // namespace varve::storage
