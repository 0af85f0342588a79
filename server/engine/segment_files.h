#ifndef VARVE_SERVER_ENGINE_SEGMENT_FILES_H_
#define VARVE_SERVER_ENGINE_SEGMENT_FILES_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "index/segment.h"
#include "index/segment_storage.h"
#include "storage/file_system.h"
#include "storage/manifest.h"
#include "storage/record_store.h"

namespace varve::engine {

// The sealed segments of one field of a namespace: files in a directory of its own, and the manifest in the
// record store that says which of them are the index. A file is written under another name,
// fsynced, renamed, and only then named by the manifest; so after a crash at any moment the
// manifest names whole files, and a file that it does not name is nobody's.
//
// Thread-safe.
class SegmentFiles final : public index::SegmentStorage {
 public:
  // What a namespace finds when it is opened.
  struct Found {
    // In order of row, their tombstones marked.
    std::vector<std::shared_ptr<const index::SealedSegment>> segments;
    // Rows that no segment stands for, ascending: they are in the record store alone. The last
    // range is the tail, and runs to the last row there can be.
    std::vector<storage::RowRange> uncovered;
    uint64_t next_segment_id = 1;
  };

  // All must outlive the object. `directory` need not exist; its parent's parent must. Whoever holds
  // `removals` finds every file that a manifest named since: none is removed meanwhile.
  SegmentFiles(storage::FileSystem* files, storage::RecordStore* store, Mutex* removals,
               storage::NamespaceNumber number, storage::FieldNumber field, std::string directory)
      : files_(*files),
        store_(*store),
        removals_(*removals),
        number_(number),
        field_(field),
        directory_(std::move(directory)) {}

  // Whether this is the name of a segment's file, whole.
  static bool IsSegment(std::string_view name);

  // Opens what the manifest names and removes what it does not. A file that is missing or damaged is
  // put aside as NAME.damaged and its rows become uncovered: they are indexed anew from the record
  // store. Nothing may be written to the namespace meanwhile.
  // FailedPrecondition: a file is of a newer format. Unavailable: the disk refuses.
  absl::StatusOr<Found> Open(const index::VectorSpace& space) ABSL_LOCKS_EXCLUDED(mu_);

  // Files in the directory that the manifest does not name, damaged ones that were put aside included.
  // After Open or ReadManifest.
  absl::StatusOr<std::vector<std::string>> Unnamed() const ABSL_LOCKS_EXCLUDED(mu_);

  // Reads the manifest and touches nothing: instead of Open, for those who look from outside.
  // DataLoss: it does not decode.
  absl::StatusOr<storage::Manifest> ReadManifest() ABSL_LOCKS_EXCLUDED(mu_);
  // Opens a file that the manifest names: it is the one that was written, and what died since is
  // marked. NotFound; DataLoss as far as the file's ends tell (see index::ParseSegment).
  absl::StatusOr<std::shared_ptr<const index::SealedSegment>> OpenStored(
      const storage::SegmentRecord& record, const index::VectorSpace& space) const;

  absl::StatusOr<std::shared_ptr<const index::SealedSegment>> Write(
      uint64_t id, const index::VectorSpace& space, std::shared_ptr<index::RowHistory> history,
      Writer write) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Install(const index::SegmentChange& change) override ABSL_LOCKS_EXCLUDED(mu_);
  void Discard(uint64_t id) override ABSL_LOCKS_EXCLUDED(mu_);
  // As Open does with damaged ones.
  absl::Status GiveUp(const std::vector<uint64_t>& ids) override ABSL_LOCKS_EXCLUDED(mu_);
  void Close() override ABSL_LOCKS_EXCLUDED(mu_);

 private:
  std::string Path(uint64_t segment_id) const;
  std::string TemporaryPath(uint64_t segment_id) const;
  absl::Status MakeDirectory();
  absl::Status WriteFile(uint64_t id, Writer write);
  absl::StatusOr<std::shared_ptr<const index::SealedSegment>> OpenFile(
      uint64_t id, const index::VectorSpace& space,
      std::shared_ptr<index::RowHistory> history) const;
  absl::Status GiveUpLocked(const std::vector<uint64_t>& ids) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Keeps a damaged file for whoever wants to know what happened, under a name that nobody opens.
  absl::Status PutAside(uint64_t segment_id);
  absl::Status RemoveOrphans() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::vector<std::string>> FindUnnamed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::StatusOr<std::shared_ptr<const index::SealedSegment>> WriteAndOpen(
      uint64_t id, const index::VectorSpace& space, std::shared_ptr<index::RowHistory> history,
      Writer write);
  void RemoveFile(uint64_t segment_id);

  storage::FileSystem& files_;
  storage::RecordStore& store_;
  Mutex& removals_;  // taken after mu_
  // OK, with the history read: what died and what was changed since the file was written.
  absl::Status ReadHistory(const storage::SegmentRecord& record,
                           const index::SealedSegment& segment) const;

  const storage::NamespaceNumber number_;
  const storage::FieldNumber field_;
  const std::string directory_;
  mutable Mutex mu_;  // held while the manifest is changed, its fsync included
  storage::Manifest manifest_ ABSL_GUARDED_BY(mu_);
  size_t writes_ ABSL_GUARDED_BY(mu_) = 0;  // calls of Write under way
  CondVar write_ended_;
  std::set<uint64_t> pending_ ABSL_GUARDED_BY(mu_);  // files written, and neither installed nor not
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_SEGMENT_FILES_H_
