#include "server/engine/engine.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"

namespace varve::engine {
namespace {

// Linking gives way to calls when cores are short.
constexpr int kIndexNiceness = 5;

// Compactions at once: each holds a graph in memory, and room on disk beside what it replaces.
constexpr size_t kCompactions = 1;

size_t ThreadsOrCores(int threads) {
  return threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
}

absl::Status NoSuchNamespace(std::string_view name) {
  return absl::NotFoundError(StrCat("there is no namespace \"", name, "\""));
}

}  // namespace

Engine::Engine(const EngineOptions& options, std::unique_ptr<storage::DataDirectory> directory,
               std::unique_ptr<storage::RecordStore> store)
    : directory_(std::move(directory)),
      store_(std::move(store)),
      compaction_gate_(kCompactions),
      index_pool_("varve-index", ThreadsOrCores(options.index_threads), kIndexNiceness),
      search_pool_("varve-search", ThreadsOrCores(options.search_threads)),
      resources_{.store = store_.get(),
                 .files = storage::FileSystem::System(),
                 .segments_directory = directory_->segments_path(),
                 .index = {.pool = &index_pool_, .gate = &compaction_gate_},
                 .search_pool = &search_pool_,
                 .now = options.now},
      close_idle_after_(options.close_idle_after),
      sweep_every_(options.sweep_every),
      sweeper_([this] { Sweep(); }) {}

Engine::~Engine() {
  {
    MutexLock lock(&mu_);
    stopping_ = true;
  }
  stop_sweeping_.SignalAll();
  sweeper_.join();
  {
    MutexLock lock(&mu_);
    namespaces_.clear();
  }
  store_->Flush().IgnoreError();  // what stays in the log is replayed
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Open(const EngineOptions& options) {
  VARVE_ASSIGN_OR_RETURN(auto directory, storage::DataDirectory::Open(options.data_dir));
  VARVE_ASSIGN_OR_RETURN(auto store, storage::RecordStore::Open(directory->records_path(),
                                                                storage::RecordStoreOptions()));
  std::unique_ptr<Engine> engine(new Engine(options, std::move(directory), std::move(store)));
  VARVE_RETURN_IF_ERROR(engine->FindNamespaces());
  return engine;
}

absl::Status Engine::FindNamespaces() {
  VARVE_ASSIGN_OR_RETURN(const auto entries, store_->ListNamespaces());
  VARVE_RETURN_IF_ERROR(RemoveOrphanDirectories(entries));
  MutexLock lock(&mu_);
  for (const storage::NamespaceEntry& entry : entries) {
    namespaces_.emplace(entry.name, std::make_shared<NamespaceSlot>(entry.name, resources_));
  }
  return absl::OkStatus();
}

std::vector<std::shared_ptr<NamespaceSlot>> Engine::Slots() const {
  MutexLock lock(&mu_);
  std::vector<std::shared_ptr<NamespaceSlot>> slots;
  slots.reserve(namespaces_.size());
  for (const auto& [name, slot] : namespaces_) slots.push_back(slot);
  return slots;
}

void Engine::Sweep() {
  const absl::Duration interval = std::min(close_idle_after_ / 2, sweep_every_);
  while (true) {
    {
      MutexLock lock(&mu_);
      const auto next = absl::ToChronoTime(absl::Now() + interval);
      while (!stopping_ && stop_sweeping_.WaitUntil(&mu_, next)) {
      }
      if (stopping_) return;
    }
    for (const auto& slot : Slots()) {
      slot->DeleteExpired();
      slot->CloseIfIdle(absl::Now() - close_idle_after_);
    }
  }
}

absl::Status Engine::RemoveOrphanDirectories(
    const std::vector<storage::NamespaceEntry>& entries) const {
  std::set<std::string> known;
  for (const storage::NamespaceEntry& entry : entries) {
    for (const std::string& directory : FieldDirectories(entry, StrCat(entry.number))) {
      known.insert(directory);
    }
  }
  storage::FileSystem& files = *resources_.files;
  VARVE_ASSIGN_OR_RETURN(const auto names, files.List(resources_.segments_directory));
  for (const std::string& name : names) {
    if (known.contains(name)) continue;
    VARVE_RETURN_IF_ERROR(files.RemoveDirectory(StrCat(resources_.segments_directory, "/", name)));
  }
  return absl::OkStatus();
}

absl::StatusOr<NamespaceSchema> Engine::CreateNamespace(NamespaceSchema schema) {
  VARVE_RETURN_IF_ERROR(ValidateSchema(schema));
  // To the microsecond, as the store keeps it.
  schema.create_time = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
  MutexLock ddl_lock(&ddl_mu_);
  {
    MutexLock lock(&mu_);
    if (namespaces_.contains(schema.name)) {
      return absl::AlreadyExistsError(StrCat("namespace \"", schema.name, "\" exists already"));
    }
  }
  storage::NamespaceEntry entry{.name = schema.name, .schema = SerializeSchema(schema)};
  VARVE_ASSIGN_OR_RETURN(entry.number, store_->CreateNamespace(entry.name, entry.schema));
  auto slot = std::make_shared<NamespaceSlot>(schema.name, resources_);
  MutexLock lock(&mu_);
  namespaces_.emplace(schema.name, std::move(slot));
  return schema;
}

absl::StatusOr<std::shared_ptr<Namespace>> Engine::FindNamespace(std::string_view name) const {
  std::shared_ptr<NamespaceSlot> slot;
  {
    MutexLock lock(&mu_);
    const auto found = namespaces_.find(name);
    if (found == namespaces_.end()) return NoSuchNamespace(name);
    slot = found->second;
  }
  return slot->Get();
}

std::vector<NamespaceSchema> Engine::ListNamespaces(std::string_view after, size_t limit) const {
  std::vector<std::pair<std::string, std::shared_ptr<NamespaceSlot>>> page;
  {
    MutexLock lock(&mu_);
    for (auto it = namespaces_.upper_bound(after); it != namespaces_.end(); ++it) {
      if (page.size() == limit) break;
      page.emplace_back(*it);
    }
  }
  std::vector<NamespaceSchema> schemas;
  for (const auto& [name, slot] : page) {
    auto schema = slot->Schema();
    if (absl::IsNotFound(schema.status())) continue;  // deleted meanwhile
    // Of one that is broken the name is all that is sure.
    schemas.push_back(schema.ok() ? *std::move(schema) : NamespaceSchema{.name = name});
  }
  return schemas;
}

absl::Status Engine::DeleteNamespace(std::string_view name) {
  MutexLock ddl_lock(&ddl_mu_);
  const auto entry = store_->ReadNamespace(name);
  if (absl::IsNotFound(entry.status())) return NoSuchNamespace(name);
  VARVE_RETURN_IF_ERROR(entry.status());
  std::shared_ptr<NamespaceSlot> slot;
  {
    MutexLock lock(&mu_);
    const auto found = namespaces_.find(name);
    if (found != namespaces_.end()) {
      slot = std::move(found->second);
      namespaces_.erase(found);
    }
  }
  if (slot != nullptr) slot->Delete();
  VARVE_RETURN_IF_ERROR(store_->DropNamespace(entry->number, name));
  // What is left behind when this fails is removed at the next start.
  for (const std::string& directory :
       FieldDirectories(*entry, SegmentDirectory(resources_, entry->number))) {
    resources_.files->RemoveDirectory(directory).IgnoreError();
  }
  return absl::OkStatus();
}

void Engine::SyncAsync(absl::AnyInvocable<void(absl::Status)> done) {
  store_->SyncAsync(std::move(done));
}

EngineStats Engine::Stats() const {
  EngineStats stats;
  for (const auto& slot : Slots()) {
    ++stats.namespaces;
    if (slot->is_open()) ++stats.open_namespaces;
  }
  // Files come and go while we look: what cannot be read now is not counted.
  std::error_code ignored;
  for (std::filesystem::recursive_directory_iterator it(directory_->path(), ignored), end;
       it != end; it.increment(ignored)) {
    const uintmax_t size = it->is_regular_file(ignored) ? it->file_size(ignored) : 0;
    if (!ignored) stats.disk_bytes += size;
  }
  const std::filesystem::space_info space = std::filesystem::space(directory_->path(), ignored);
  if (!ignored) {
    stats.disk_free_bytes = space.available;
    stats.disk_size_bytes = space.capacity;
  }
  return stats;
}

std::vector<OpenNamespace> Engine::OpenNamespaces() const {
  std::vector<OpenNamespace> open;
  for (const auto& slot : Slots()) {
    if (const auto stats = slot->StatsIfOpen(); stats.has_value()) {
      open.push_back({.name = slot->name(), .index = *stats});
    }
  }
  return open;
}

}  // namespace varve::engine
