#ifndef VARVE_TESTS_TESTUTIL_MEMORY_RECORD_STORE_H_
#define VARVE_TESTS_TESTUTIL_MEMORY_RECORD_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/mutex.h"
#include "storage/record_store.h"

namespace varve::storage {

// MemoryRecordStore keeps the contract of RecordStore in plain maps under one lock, so that
// ThreadSanitizer sees all there is to see. What it calls durable lives as long as the object;
// SyncAsync calls back before it returns. Thread-safe.
class MemoryRecordStore final : public RecordStore {
 public:
  absl::StatusOr<NamespaceNumber> CreateNamespace(std::string_view name,
                                                  std::string_view schema) override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status UpdateSchema(NamespaceNumber number, std::string_view name,
                            std::string_view schema) override ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status DropNamespace(NamespaceNumber number, std::string_view name) override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<NamespaceEntry> ReadNamespace(std::string_view name) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<NamespaceEntry>> ListNamespaces() const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Write(const Commit& commit) override ABSL_LOCKS_EXCLUDED(mu_);
  void SyncAsync(absl::AnyInvocable<void(absl::Status)> done) override;
  absl::Status FindRows(NamespaceNumber number, absl::Span<const std::string_view> ids,
                        std::vector<uint64_t>* rows) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<std::optional<StoredRecord>>> ReadRecords(
      NamespaceNumber number, absl::Span<const std::string_view> ids,
      const RecordParts& parts) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<std::optional<StoredRecord>>> ReadRows(
      NamespaceNumber number, absl::Span<const uint64_t> rows,
      const RecordParts& parts) const override ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<uint64_t> ProducerPosition(NamespaceNumber number,
                                            std::string_view producer) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::unique_ptr<Cursor>> ScanById(NamespaceNumber number, std::string_view after,
                                                   const RecordParts& parts) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status WriteManifest(NamespaceNumber number, FieldNumber field, std::string_view manifest,
                             absl::Span<const ForgottenMarks> forgotten) override
      ABSL_LOCKS_EXCLUDED(mu_);
  // It is never copied.
  absl::Status Checkpoint(const std::string&) override { return NoCopies(); }
  absl::StatusOr<std::unique_ptr<NamespaceImage>> TakeImage(NamespaceNumber) const override {
    return NoCopies();
  }
  absl::StatusOr<NamespaceNumber> BeginImport() override { return NoCopies(); }
  absl::Status Import(NamespaceNumber, NamespaceImage*, const CallControl&) override {
    return NoCopies();
  }
  absl::Status FinishImport(NamespaceNumber, std::string_view, std::string_view) override {
    return NoCopies();
  }
  absl::Status AbandonImport(NamespaceNumber) override { return NoCopies(); }
  bool NeedsReopening() override { return false; }
  absl::Status Flush() override { return absl::OkStatus(); }
  void ReclaimRows(NamespaceNumber, RowRange) override {}
  StoreStats Stats() const override { return {}; }
  absl::StatusOr<std::string> ReadManifest(NamespaceNumber number, FieldNumber field) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::vector<RowMark>> ReadMarks(RowMarkKind kind, NamespaceNumber number,
                                                 FieldNumber field, RowRange range) const override
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::unique_ptr<Cursor>> ScanByRow(NamespaceNumber number, RowRange range,
                                                    const RecordParts& parts) const override
      ABSL_LOCKS_EXCLUDED(mu_);

 private:
  static absl::Status NoCopies() {
    return absl::UnimplementedError("a store in memory is not copied");
  }

  // A record, its vectors by field.
  struct Record {
    StoredRecord record;  // without vectors
    std::map<FieldNumber, std::string> vectors;
  };
  using Marks = std::map<FieldNumber, std::map<uint64_t, uint64_t>>;  // row to sequence
  // The records of one namespace.
  struct Contents {
    CommitState state;
    std::map<std::string, uint64_t, std::less<>> rows_by_id;
    std::map<uint64_t, Record> records;
    std::map<std::string, uint64_t, std::less<>> producers;
    std::map<RowMarkKind, Marks> marks;
    std::map<FieldNumber, std::string> manifests;
  };
  struct Entry {
    NamespaceNumber number = 0;
    std::string schema;
  };

  static StoredRecord Copy(const Record& record, const RecordParts& parts);
  absl::Status CheckNamespace(NamespaceNumber number, std::string_view name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // An empty one where there is no such namespace, as in the real store.
  const Contents& Find(NamespaceNumber number) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable Mutex mu_;
  NamespaceNumber next_number_ ABSL_GUARDED_BY(mu_) = 1;
  std::map<std::string, Entry, std::less<>> entries_ ABSL_GUARDED_BY(mu_);  // by name
  std::map<NamespaceNumber, Contents> contents_ ABSL_GUARDED_BY(mu_);
};

}  // namespace varve::storage

#endif  // VARVE_TESTS_TESTUTIL_MEMORY_RECORD_STORE_H_
