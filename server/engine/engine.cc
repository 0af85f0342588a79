#include "server/engine/engine.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "storage/files.h"

namespace varve::engine {
namespace {

// Linking gives way to calls when cores are short.
constexpr int kIndexNiceness = 5;

// Compactions at once: each holds a graph in memory, and room on disk beside what it replaces.
constexpr size_t kCompactions = 1;

// The store's own buffers are a small part of what the process may take, and not more than helps.
storage::RecordStoreOptions StoreOptions(uint64_t memory_bytes) {
  constexpr uint64_t kLeast = uint64_t{4} << 20;
  storage::RecordStoreOptions options;
  if (memory_bytes == 0) return options;
  // Memory is at most the cache and seven times the write buffer.
  const uint64_t share = std::max(memory_bytes / 40, kLeast);
  options.block_cache_bytes = std::min<uint64_t>(options.block_cache_bytes, share);
  options.write_buffer_bytes = std::min<uint64_t>(options.write_buffer_bytes, share);
  return options;
}

size_t ThreadsOrCores(int threads) {
  return threads > 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
}

// Those of all fields of a namespace.
absl::Status LinkAllSegments(storage::FileSystem* files, const storage::NamespaceEntry& entry,
                             const std::string& from, const std::string& to) {
  const auto sources = FieldDirectories(entry, from), targets = FieldDirectories(entry, to);
  for (size_t i = 0; i < sources.size(); ++i) {
    VARVE_RETURN_IF_ERROR(LinkSegments(files, sources[i], targets[i]));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status NoSuchNamespace(std::string_view name) {
  return absl::NotFoundError(StrCat("there is no namespace \"", name, "\""));
}

Engine::Engine(const EngineOptions& options, std::unique_ptr<storage::DataDirectory> directory,
               std::unique_ptr<storage::RecordStore> store)
    : directory_(std::move(directory)),
      store_(std::move(store)),
      snapshots_(storage::FileSystem::System(), directory_->snapshots_path()),
      compaction_gate_(kCompactions),
      index_pool_("varve-index", ThreadsOrCores(options.index_threads), kIndexNiceness),
      search_pool_("varve-search", ThreadsOrCores(options.search_threads)),
      resources_{.store = store_.get(),
                 .files = storage::FileSystem::System(),
                 .limits = limits_,
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
  VARVE_ASSIGN_OR_RETURN(auto directory,
                         options.must_exist ? storage::DataDirectory::OpenExisting(options.data_dir)
                                            : storage::DataDirectory::Open(options.data_dir));
  VARVE_ASSIGN_OR_RETURN(
      auto store,
      storage::RecordStore::Open(directory->records_path(), StoreOptions(options.memory_bytes)));
  std::unique_ptr<Engine> engine(new Engine(options, std::move(directory), std::move(store)));
  VARVE_RETURN_IF_ERROR(engine->FindNamespaces());
  return engine;
}

absl::Status Engine::FindNamespaces() {
  VARVE_ASSIGN_OR_RETURN(const auto entries, store_->ListNamespaces());
  VARVE_RETURN_IF_ERROR(RemoveOrphanDirectories(entries));
  VARVE_RETURN_IF_ERROR(snapshots_.RemoveLeftovers());
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

absl::Status Engine::CheckMayMake(std::string_view name) const {
  MutexLock lock(&mu_);
  if (namespaces_.contains(name)) {
    return absl::AlreadyExistsError(StrCat("namespace \"", name, "\" exists already"));
  }
  const uint64_t namespaces_max = limits_->namespaces;
  if (namespaces_max == 0 || namespaces_.size() < namespaces_max) return absl::OkStatus();
  return absl::ResourceExhaustedError(StrCat("the server may have ", namespaces_max,
                                             " namespaces (--max-namespaces), and has ",
                                             namespaces_.size()));
}

absl::StatusOr<NamespaceSchema> Engine::CreateNamespace(NamespaceSchema schema) {
  VARVE_RETURN_IF_ERROR(ValidateSchema(schema));
  // To the microsecond, as the store keeps it.
  schema.create_time = absl::FromUnixMicros(absl::ToUnixMicros(absl::Now()));
  MutexLock ddl_lock(&ddl_mu_);
  VARVE_RETURN_IF_ERROR(CheckMayMake(schema.name));
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

std::vector<NamespaceSchema> Engine::ListNamespaces(
    std::string_view after, size_t limit,
    const std::function<bool(std::string_view)>& wanted) const {
  std::vector<std::pair<std::string, std::shared_ptr<NamespaceSlot>>> page;
  {
    MutexLock lock(&mu_);
    for (auto it = namespaces_.upper_bound(after); it != namespaces_.end(); ++it) {
      if (page.size() == limit) break;
      if (wanted == nullptr || wanted(it->first)) page.emplace_back(*it);
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
  RemoveSegments(*entry, entry->number);
  return absl::OkStatus();
}

void Engine::RemoveSegments(const storage::NamespaceEntry& entry, storage::NamespaceNumber number) {
  MutexLock lock(resources_.removals.get());
  // What is left behind when this fails is removed at the next start.
  for (const std::string& directory :
       FieldDirectories(entry, SegmentDirectory(resources_.segments_directory, number))) {
    resources_.files->RemoveDirectory(directory).IgnoreError();
  }
}

absl::StatusOr<SnapshotInfo> Engine::CreateSnapshot(const std::string& name,
                                                    const std::string& only_namespace,
                                                    const CallControl& control) {
  if (only_namespace.empty()) {
    return snapshots_.Create(name, "",
                             [&](const std::string& path) { return WriteSnapshot(path); });
  }
  const auto entry = store_->ReadNamespace(only_namespace);
  if (absl::IsNotFound(entry.status())) return NoSuchNamespace(only_namespace);
  VARVE_RETURN_IF_ERROR(entry.status());
  return snapshots_.Create(name, only_namespace, [&](const std::string& path) {
    return WriteSnapshotOf(*entry, path, control);
  });
}

absl::StatusOr<std::vector<SnapshotInfo::Part>> Engine::WriteSnapshot(const std::string& path) {
  storage::FileSystem& files = *resources_.files;
  VARVE_ASSIGN_OR_RETURN(const auto made, storage::DataDirectory::Open(path));
  VARVE_RETURN_IF_ERROR(files.CreateDirectory(made->segments_path()));
  {
    // The manifests in the copied store name files that are there until we are done. Files that they do
    // not name yet are linked as well; whoever opens the copy removes them.
    MutexLock lock(resources_.removals.get());
    VARVE_RETURN_IF_ERROR(store_->Checkpoint(made->records_path()));
    VARVE_ASSIGN_OR_RETURN(const auto names, files.List(resources_.segments_directory));
    for (const std::string& name : names) {
      VARVE_RETURN_IF_ERROR(LinkSegments(&files, StrCat(resources_.segments_directory, "/", name),
                                         StrCat(made->segments_path(), "/", name)));
    }
  }
  VARVE_RETURN_IF_ERROR(files.SyncDirectory(made->segments_path()));
  VARVE_RETURN_IF_ERROR(files.SyncDirectory(path));
  VARVE_ASSIGN_OR_RETURN(const auto copy,
                         storage::RecordStore::OpenToRead(made->records_path(), {}));
  VARVE_ASSIGN_OR_RETURN(const auto entries, copy->ListNamespaces());
  std::vector<SnapshotInfo::Part> parts;
  for (const storage::NamespaceEntry& entry : entries) {
    parts.push_back({entry.name, entry.state.sequence});
  }
  return parts;
}

absl::StatusOr<std::vector<SnapshotInfo::Part>> Engine::WriteSnapshotOf(
    const storage::NamespaceEntry& entry, const std::string& path, const CallControl& control) {
  storage::FileSystem& files = *resources_.files;
  VARVE_ASSIGN_OR_RETURN(const auto made, storage::DataDirectory::Open(path));
  VARVE_ASSIGN_OR_RETURN(const auto copy, storage::RecordStore::Open(made->records_path(), {}));
  VARVE_ASSIGN_OR_RETURN(const storage::NamespaceNumber number, copy->BeginImport());
  VARVE_RETURN_IF_ERROR(files.CreateDirectory(made->segments_path()));
  std::unique_ptr<storage::NamespaceImage> image;
  {
    MutexLock lock(resources_.removals.get());
    VARVE_ASSIGN_OR_RETURN(image, store_->TakeImage(entry.number));
    // Of one that has been deleted meanwhile there is nothing in it.
    const auto now = store_->ReadNamespace(entry.name);
    if (!now.ok() || now->number != entry.number) return NoSuchNamespace(entry.name);
    VARVE_RETURN_IF_ERROR(LinkAllSegments(
        &files, entry, SegmentDirectory(resources_.segments_directory, entry.number),
        SegmentDirectory(made->segments_path(), number)));
  }
  VARVE_RETURN_IF_ERROR(files.SyncDirectory(made->segments_path()));
  VARVE_RETURN_IF_ERROR(files.SyncDirectory(path));
  VARVE_RETURN_IF_ERROR(copy->Import(number, image.get(), control));
  VARVE_RETURN_IF_ERROR(copy->FinishImport(number, entry.name, entry.schema));
  VARVE_RETURN_IF_ERROR(copy->Flush());
  VARVE_ASSIGN_OR_RETURN(const storage::NamespaceEntry copied, copy->ReadNamespace(entry.name));
  return std::vector<SnapshotInfo::Part>{{entry.name, copied.state.sequence}};
}

absl::StatusOr<NamespaceSchema> Engine::AdoptNamespace(const std::string& data_dir,
                                                       const std::string& name,
                                                       const std::string& as,
                                                       const CallControl& control) {
  VARVE_ASSIGN_OR_RETURN(const auto from, storage::DataDirectory::OpenToRead(data_dir));
  VARVE_ASSIGN_OR_RETURN(const auto records,
                         storage::RecordStore::OpenToRead(from->records_path(), {}));
  const auto entry = records->ReadNamespace(name);
  if (absl::IsNotFound(entry.status())) {
    return absl::NotFoundError(StrCat("there is no namespace \"", name, "\" in ", data_dir));
  }
  VARVE_RETURN_IF_ERROR(entry.status());
  VARVE_ASSIGN_OR_RETURN(NamespaceSchema schema, SchemaOf(*entry));
  schema.name = as;
  VARVE_RETURN_IF_ERROR(ValidateSchema(schema));
  VARVE_RETURN_IF_ERROR(CheckMayMake(as));

  VARVE_ASSIGN_OR_RETURN(const storage::NamespaceNumber number, store_->BeginImport());
  const auto adopt = [&]() -> absl::Status {
    storage::FileSystem& files = *resources_.files;
    VARVE_RETURN_IF_ERROR(storage::CreateDirectories(resources_.segments_directory));
    VARVE_RETURN_IF_ERROR(LinkAllSegments(&files, *entry,
                                          SegmentDirectory(from->segments_path(), entry->number),
                                          SegmentDirectory(resources_.segments_directory, number)));
    VARVE_RETURN_IF_ERROR(files.SyncDirectory(resources_.segments_directory));
    VARVE_ASSIGN_OR_RETURN(const auto image, records->TakeImage(entry->number));
    VARVE_RETURN_IF_ERROR(store_->Import(number, image.get(), control));
    MutexLock ddl_lock(&ddl_mu_);
    VARVE_RETURN_IF_ERROR(CheckMayMake(as));
    VARVE_RETURN_IF_ERROR(store_->FinishImport(number, as, SerializeSchema(schema)));
    auto slot = std::make_shared<NamespaceSlot>(as, resources_);
    MutexLock lock(&mu_);
    namespaces_.emplace(as, std::move(slot));
    return absl::OkStatus();
  };
  if (absl::Status status = adopt(); !status.ok()) {
    store_->AbandonImport(number).IgnoreError();  // else at the next start
    RemoveSegments(*entry, number);
    return status;
  }
  return schema;
}

absl::StatusOr<std::vector<std::string>> NamespacesIn(const std::string& data_dir) {
  VARVE_ASSIGN_OR_RETURN(const auto from, storage::DataDirectory::OpenToRead(data_dir));
  VARVE_ASSIGN_OR_RETURN(const auto records,
                         storage::RecordStore::OpenToRead(from->records_path(), {}));
  VARVE_ASSIGN_OR_RETURN(const auto entries, records->ListNamespaces());
  std::vector<std::string> names;
  for (const storage::NamespaceEntry& entry : entries) names.push_back(entry.name);
  return names;
}

void Engine::SyncAsync(absl::AnyInvocable<void(absl::Status)> done) {
  store_->SyncAsync(std::move(done));
}

void Engine::ReleaseMemory() {
  for (const auto& slot : Slots()) {
    slot->CloseIfIdle(absl::Now());
    slot->ReleaseMemory();
  }
}

absl::StatusOr<std::filesystem::space_info> Engine::DiskSpace() const {
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(directory_->path(), error);
  if (!error) return space;
  return storage::SystemError(error.value(), directory_->path(), "ask for free space");
}

uint64_t Engine::DataBytes() const {
  uint64_t bytes = 0;
  // Files come and go while we look: what cannot be read now is not counted.
  std::error_code ignored;
  for (std::filesystem::recursive_directory_iterator it(directory_->path(), ignored), end;
       it != end; it.increment(ignored)) {
    // Snapshots share most of their files with what is counted already.
    if (it.depth() == 0 && it->path() == directory_->snapshots_path()) {
      it.disable_recursion_pending();
    }
    const uintmax_t size = it->is_regular_file(ignored) ? it->file_size(ignored) : 0;
    if (!ignored) bytes += size;
  }
  return bytes;
}

EngineStats Engine::Stats() const {
  EngineStats stats;
  for (const auto& slot : Slots()) {
    ++stats.namespaces;
    if (slot->is_open()) ++stats.open_namespaces;
  }
  stats.disk_bytes = DataBytes();
  if (const auto space = DiskSpace(); space.ok()) {
    stats.disk_free_bytes = space->available;
    stats.disk_size_bytes = space->capacity;
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
