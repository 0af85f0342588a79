// A crash at every write: a script of all that an engine does to its disk (ingest, delete, seal,
// flush, rebuild, merge, drop a namespace) runs once on a recorded disk. Then, for every call that
// changed the disk, what a crash right after it would leave is put into a directory and opened: all
// that had been acknowledged is there, whole; nothing that was deleted is back; no file is left over;
// and the check of the data directory is clean. Once more, every call fails in its turn.

#include <algorithm>
#include <filesystem>
#include <future>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "base/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/engine/check.h"
#include "server/engine/engine.h"
#include "storage/temporary_directory.h"
#include "tests/crash/disk.h"

namespace varve::engine {
namespace {

using ::testing::IsEmpty;

constexpr size_t kDimension = 4;
constexpr char kProducer[] = "script";

// What a namespace holds: the generation of each id's vector, and how far the producer is.
struct Content {
  std::map<uint64_t, uint32_t> records;
  uint64_t position = 0;
  bool operator==(const Content&) const = default;
};
using State = std::optional<Content>;  // nullopt: there is no such namespace

std::vector<float> VectorOf(uint64_t id, uint32_t generation) {
  return {static_cast<float>(id), static_cast<float>(id % 7), static_cast<float>(generation), 1};
}

TensorView View(const std::vector<float>& values) {
  return {.rows = values.size() / kDimension,
          .columns = kDimension,
          .bytes = {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)}};
}

std::vector<uint64_t> Range(uint64_t begin, uint64_t end) {
  std::vector<uint64_t> ids(end - begin);
  std::iota(ids.begin(), ids.end(), begin);
  return ids;
}

// The states that one namespace goes through, and when: in calls of the recorded disk.
struct History {
  struct Step {
    State state;
    size_t begun = 0;             // the change may be found from here on,
    size_t acknowledged = ~0ull;  // after a killed process must be from here on,
    size_t synced = ~0ull;        // and after power loss from here on
  };
  std::vector<Step> steps = {{std::nullopt, 0, 0, 0}};
};

// The script: one client that does one thing after the other.
class Script {
 public:
  explicit Script(const std::string& path) : engine_(Engine::Open({.data_dir = path})) {}

  // Ends at the first write that fails: what is found then is as after a crash.
  void Run() {
    if (!engine_.ok()) return;
    Create("a"), Create("dropped");
    Write("a", 0, 400), Write("dropped", 0, 1100), Write("a", 400, 1050);
    Sync();
    Write("a", 1050, 2100);
    WaitUntilIdle("a");
    Delete("a", 1100, 1500);  // rebuilds a segment
    WaitUntilIdle("a");
    Write("a", 30, 60), Delete("a", 10, 20);
    Upkeep("a", &Namespace::Flush);
    Sync();
    Drop("dropped"), Create("b");
    Write("a", 2100, 4200);  // merges four
    WaitUntilIdle("a");
    Write("b", 0, 50), Delete("a", 3000, 3010), Write("a", 4200, 4210);
    Upkeep("a", &Namespace::Compact);
    Write("a", 0, 5), Write("b", 40, 60);
    Sync();
    Write("a", 5, 8);
  }

  const std::map<std::string, History>& histories() const { return histories_; }

 private:
  // Runs a change after which `name` is as `state` says.
  template <typename Change>
  void Step(const std::string& name, State state, bool durable, Change change) {
    if (failed_) return;
    std::vector<History::Step>& steps = histories_[name].steps;
    steps.push_back({std::move(state), Disk::calls()});
    const absl::Status status = change();
    failed_ = !status.ok();
    if (failed_) return;
    steps.back().acknowledged = Disk::calls();
    if (durable) steps.back().synced = Disk::calls();
  }

  void Create(const std::string& name) {
    NamespaceSchema schema{.name = name};
    schema.fields.push_back({.dimension = kDimension,
                             .index = {.m = 4,
                                       .ef_construction = 16,
                                       .segment_size_threshold = 1000,
                                       .parallel_insert_threshold = 1}});
    Step(name, Content(), true, [&] { return (*engine_)->CreateNamespace(schema).status(); });
  }
  void Drop(const std::string& name) {
    Step(name, std::nullopt, true, [&] { return (*engine_)->DeleteNamespace(name); });
  }

  void Write(const std::string& name, uint64_t begin, uint64_t end) {
    if (failed_) return;
    State state = histories_[name].steps.back().state;
    const uint64_t number = ++state->position;
    const uint32_t generation = static_cast<uint32_t>(number);
    const std::vector<uint64_t> ids = Range(begin, end);
    std::vector<float> values;
    for (const uint64_t id : ids) {
      state->records[id] = generation;
      const std::vector<float> vector = VectorOf(id, generation);
      values.insert(values.end(), vector.begin(), vector.end());
    }
    Step(name, std::move(state), false, [&]() -> absl::Status {
      const auto found = (*engine_)->FindNamespace(name);
      if (!found.ok()) return found.status();
      return (*found)
          ->Upsert({.ids = {.type = IdType::kNumber, .numbers = ids}, .vectors = View(values)},
                   OnError::kFailBatch, {kProducer, number})
          .status();
    });
  }

  void Delete(const std::string& name, uint64_t begin, uint64_t end) {
    if (failed_) return;
    State state = histories_[name].steps.back().state;
    const std::vector<uint64_t> ids = Range(begin, end);
    for (const uint64_t id : ids) state->records.erase(id);
    Step(name, std::move(state), false, [&]() -> absl::Status {
      const auto found = (*engine_)->FindNamespace(name);
      if (!found.ok()) return found.status();
      return (*found)->Delete({.type = IdType::kNumber, .numbers = ids}).status();
    });
  }

  // Makes all that was written so far survive power loss.
  void Sync() {
    if (failed_) return;
    std::promise<absl::Status> synced;
    (*engine_)->SyncAsync([&](absl::Status status) { synced.set_value(std::move(status)); });
    if (!synced.get_future().get().ok()) return;
    for (auto& [name, history] : histories_) {
      history.steps.back().synced = std::min(history.steps.back().synced, Disk::calls());
    }
  }

  // What fails here is tried again in the background, and loses nothing.
  void Upkeep(const std::string& name, void (Namespace::*call)(Namespace::Done)) {
    const auto found = failed_ ? absl::CancelledError() : (*engine_)->FindNamespace(name);
    if (!found.ok()) return;
    std::promise<absl::Status> done;
    ((**found).*call)([&](absl::Status status) { done.set_value(std::move(status)); });
    done.get_future().get().IgnoreError();
  }

  // Or until a minute's quarter has gone: work that failed is not taken up again so soon.
  void WaitUntilIdle(const std::string& name) {
    const auto found = failed_ ? absl::CancelledError() : (*engine_)->FindNamespace(name);
    const absl::Time end = absl::Now() + wait_;
    while (found.ok() && !(*found)->Idle() && absl::Now() < end) std::this_thread::yield();
  }

  const absl::Duration wait_ = absl::Seconds(2);
  absl::StatusOr<std::unique_ptr<Engine>> engine_;
  std::map<std::string, History> histories_;
  bool failed_ = false;
};

// What a namespace of an engine holds.
State Read(Engine* engine, const std::string& name) {
  const auto found = engine->FindNamespace(name);
  if (absl::IsNotFound(found.status())) return std::nullopt;
  if (!found.ok()) {
    ADD_FAILURE() << found.status();
    return std::nullopt;
  }
  Content content{.position = *(*found)->ProducerPosition(kProducer)};
  const auto scanner = *(*found)->Scan("", /*include_vectors=*/true);
  std::string token;
  while (true) {
    const auto records = scanner->Next(10'000, size_t{1} << 30, &token);
    if (!records.ok()) ADD_FAILURE() << records.status();
    if (!records.ok() || records->ids.numbers.empty()) return content;
    for (size_t i = 0; i < records->ids.numbers.size(); ++i) {
      const uint64_t id = records->ids.numbers[i];
      std::vector<float> vector(kDimension);
      std::memcpy(vector.data(), records->vectors.data() + i * kDimension * sizeof(float),
                  kDimension * sizeof(float));
      content.records[id] = static_cast<uint32_t>(vector[2]);
      EXPECT_EQ(vector, VectorOf(id, content.records[id]));
    }
  }
}

// The index holds what the records hold: an exact search for all gives each once, a walk finds some.
void ExpectIndexed(const Namespace& space, const Content& content) {
  const uint32_t all = static_cast<uint32_t>(content.records.size());
  if (all == 0) return;
  const std::vector<float> origin(kDimension, 0);
  const auto found =
      space.Search({.queries = View(origin), .k = all + 10, .exact = true}, CallControl());
  ASSERT_TRUE(found.ok()) << found.status();
  std::vector<uint64_t> ids = found->records.ids.numbers;
  std::sort(ids.begin(), ids.end());
  std::vector<uint64_t> wanted;
  for (const auto& [id, generation] : content.records) wanted.push_back(id);
  EXPECT_EQ(ids, wanted);
  for (size_t i = 0; i < wanted.size(); i += wanted.size() / 5 + 1) {
    const std::vector<float> vector = VectorOf(wanted[i], content.records.at(wanted[i]));
    const auto walked =
        space.Search({.queries = View(vector), .k = 10, .ef_search = 100}, CallControl());
    ASSERT_TRUE(walked.ok()) << walked.status();
    EXPECT_EQ(walked->records.ids.numbers.front(), wanted[i]);
  }
}

// Opens the data directory in `path`, left by a crash after `calls` calls, and compares.
void ExpectNothingLost(const std::string& path, const std::map<std::string, History>& histories,
                       CrashKind crash, size_t calls) {
  {
    const auto engine = Engine::Open({.data_dir = path});
    ASSERT_TRUE(engine.ok()) << engine.status();
    for (const auto& [name, history] : histories) {
      const State state = Read(engine->get(), name);
      size_t first = 0, last = 0;
      for (size_t i = 0; i < history.steps.size(); ++i) {
        const History::Step& step = history.steps[i];
        if ((crash == CrashKind::kKilled ? step.acknowledged : step.synced) <= calls) first = i;
        if (step.begun <= calls) last = i;
      }
      bool known = false;
      for (size_t i = first; i <= last; ++i) known |= state == history.steps[i].state;
      EXPECT_TRUE(known) << "namespace " << name << " is not as after step " << first << " to "
                         << last << ", but has "
                         << (state.has_value() ? StrCat(state->records.size(), " records")
                                               : std::string("gone"));
      if (state.has_value()) ExpectIndexed(**(*engine)->FindNamespace(name), *state);
    }
  }
  const auto report = CheckDataDirectory(path);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->record_damage, IsEmpty());
  EXPECT_THAT(report->index_damage, IsEmpty());
  EXPECT_THAT(report->leftovers, IsEmpty());
}

// RocksDB's own log of what it does, of which nothing depends.
bool Matters(const DiskCall& call, const std::map<uint64_t, std::string>& names) {
  const auto name = names.find(call.file);
  return name == names.end() || name->second.find("/LOG") == std::string::npos;
}

class EveryWriteTest : public testing::TestWithParam<CrashKind> {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }

  storage::TemporaryDirectory directory_;
};

TEST_F(EveryWriteTest, TheRecordedDiskHoldsWhatTheRealOneHolds) {
  std::filesystem::create_directory(Path("real"));
  Disk::Record(Path("real"));
  Script(Path("real") + "/data").Run();
  DiskImage image(Path("real"));
  for (const DiskCall& call : Disk::Stop()) image.Apply(call);
  image.Write(CrashKind::kKilled, Path("recorded"));
  const std::string command = StrCat("diff -r ", Path("real"), " ", Path("recorded"));
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

TEST_P(EveryWriteTest, NothingAcknowledgedIsLostWhereverACrashComes) {
  std::filesystem::create_directory(Path("real"));
  Disk::Record(Path("real"));
  std::map<std::string, History> histories;
  {
    Script script(Path("real") + "/data");
    script.Run();
    histories = script.histories();
  }
  const std::vector<DiskCall> calls = Disk::Stop();

  DiskImage image(Path("real"));
  std::map<uint64_t, std::string> names;
  for (size_t i = 0; i < calls.size() && !HasFailure(); ++i) {
    image.Apply(calls[i]);
    if (calls[i].kind == DiskCall::Kind::kCreate) names[calls[i].file] = calls[i].path;
    if (!Matters(calls[i], names)) continue;
    SCOPED_TRACE(StrCat("crash after call ", i, " of ", calls.size()));
    image.Write(GetParam(), Path("crashed"));
    ExpectNothingLost(Path("crashed") + "/data", histories, GetParam(), i + 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Crashes, EveryWriteTest,
                         testing::Values(CrashKind::kKilled, CrashKind::kPowerLoss,
                                         CrashKind::kTorn));

}  // namespace
}  // namespace varve::engine
