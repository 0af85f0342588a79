#include "server/engine/namespace_slot.h"

#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::engine {

absl::StatusOr<std::shared_ptr<Namespace>> NamespaceSlot::Get() {
  MutexLock lock(&mu_);
  if (deleted_) return Deleted();
  last_used_ = absl::Now();
  if (opened_ != nullptr && opened_->damaged()) {
    opened_->Retire(absl::UnavailableError(StrCat(
        "namespace \"", name_, "\" is being opened anew, because of a damaged file: try again")));
    Exchange(nullptr);
  }
  if (opened_ == nullptr) {
    VARVE_ASSIGN_OR_RETURN(const storage::NamespaceEntry entry,
                           resources_.store->ReadNamespace(name_));
    VARVE_ASSIGN_OR_RETURN(auto opened, Namespace::Open(entry, resources_));
    Exchange(std::move(opened));
  }
  return opened_;
}

absl::Status NamespaceSlot::Deleted() const {
  return absl::NotFoundError(StrCat("namespace \"", name_, "\" has been deleted"));
}

absl::StatusOr<NamespaceSchema> NamespaceSlot::Schema() const {
  {
    MutexLock lock(&mu_);
    if (opened_ != nullptr) return *opened_->schema();
  }
  VARVE_ASSIGN_OR_RETURN(const storage::NamespaceEntry entry,
                         resources_.store->ReadNamespace(name_));
  return SchemaOf(entry);
}

std::shared_ptr<Namespace> NamespaceSlot::Exchange(std::shared_ptr<Namespace> opened) {
  MutexLock lock(&look_mu_);
  open_ = opened.get();
  return std::exchange(opened_, std::move(opened));
}

std::optional<IndexStats> NamespaceSlot::StatsIfOpen() const {
  MutexLock lock(&look_mu_);
  if (open_ == nullptr) return std::nullopt;
  return open_->StatsOfIndex();
}

void NamespaceSlot::DeleteExpired() {
  std::shared_ptr<Namespace> opened;
  {
    MutexLock lock(&mu_);
    opened = opened_;
  }
  if (opened == nullptr) return;
  while (true) {
    const absl::StatusOr<uint64_t> deleted = opened->DeleteExpired();
    if (!deleted.ok() || *deleted < Namespace::kRecordsPerDeletion) return;
  }
}

void NamespaceSlot::CloseIfIdle(absl::Time used_before) {
  std::shared_ptr<Namespace> closed;  // destroyed without the lock
  MutexLock lock(&mu_);
  if (opened_ == nullptr || last_used_ >= used_before) return;
  if (opened_.use_count() == 1 && opened_->Idle()) closed = Exchange(nullptr);
}

void NamespaceSlot::ReleaseMemory() {
  constexpr uint64_t kWorthIt = uint64_t{1} << 20;
  std::shared_ptr<Namespace> opened;
  {
    MutexLock lock(&mu_);
    opened = opened_;
  }
  if (opened != nullptr && opened->Stats().index_memory_bytes > kWorthIt) {
    opened->Flush([](absl::Status) {});
  }
}

void NamespaceSlot::Delete() {
  MutexLock lock(&mu_);
  deleted_ = true;
  if (opened_ != nullptr) opened_->Retire(Deleted());
  Exchange(nullptr);
}

}  // namespace varve::engine
