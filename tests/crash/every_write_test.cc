// A crash at every write: a script of all that an engine does to its disk (ingest, delete, metadata
// changed, seal, flush, rebuild, merge, drop a namespace) runs once on a recorded disk. Then, for every call that
// changed the disk, what a crash right after it would leave is put into a directory and opened: all
// that had been acknowledged is there, whole; nothing that was deleted is back; no file is left over;
// and the check of the data directory is clean. Once more, every call fails in its turn.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "base/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "metadata/attributes.h"
#include "metadata/filter.h"
#include "metadata/value.h"
#include "server/engine/check.h"
#include "server/engine/engine.h"
#include "storage/temporary_directory.h"
#include "tests/crash/disk.h"

namespace varve::engine {
namespace {

using ::testing::IsEmpty;

constexpr size_t kDimension = 4;
constexpr char kProducer[] = "script";

struct Record {
  uint32_t generation = 0;  // of its vector
  int64_t tag = 0;          // its metadata: the generation too, until it is changed
  bool operator==(const Record&) const = default;
};

// What a namespace holds, and how far the producer is.
struct Content {
  std::map<uint64_t, Record> records;
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

constexpr char kTag[] = "tag";

metadata::AttributeMap Tagged(int64_t tag) {
  metadata::AttributeMap attributes;
  attributes[kTag].values.emplace_back(metadata::ValueView::Int64(tag));
  return attributes;
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

enum class Event : char { kStepBegun = 'b', kStepAcknowledged = 'a', kAllRun = 'z' };

// The script: one client that does one thing after the other.
class Script {
 public:
  using Report = std::function<void(Event)>;

  // `patience`: how long it waits for work in the background, which waits itself after a failure.
  Script(const std::string& path, absl::Duration patience, Report report)
      : patience_(patience),
        report_(std::move(report)),
        engine_(Engine::Open({.data_dir = path})) {}

  // Ends at the first write that fails: what is found then is as after a crash.
  void Run() {
    if (!engine_.ok()) return;
    Create("a"), Create("dropped");
    Write("a", 0, 400), Write("dropped", 0, 1100), Write("a", 400, 1050);
    Sync();
    Write("a", 1050, 2100);
    WaitUntilIdle("a");
    Update("a", 1000, 1200);  // of rows in both a sealed segment and the active one
    Delete("a", 1100, 1500);  // rebuilds a segment
    WaitUntilIdle("a");
    Write("a", 30, 60), Delete("a", 10, 20), Update("a", 20, 40);
    Upkeep("a", &Namespace::Flush);
    Sync();
    Drop("dropped"), Create("b");
    Adopt("a", "copy");
    Write("a", 2100, 4200);  // merges four
    WaitUntilIdle("a");
    Write("b", 0, 50), Delete("a", 3000, 3010), Write("a", 4200, 4210), Update("b", 10, 12);
    Upkeep("a", &Namespace::Compact);
    Write("a", 0, 5), Update("a", 3, 30), Write("b", 40, 60);
    Sync();
    Write("a", 5, 8), Update("a", 7, 9);
    if (!failed_) report_(Event::kAllRun);
  }

  const std::map<std::string, History>& histories() const { return histories_; }
  // Whose step came when.
  const std::vector<std::string>& order() const { return order_; }

 private:
  // Runs a change after which `name` is as `state` says.
  template <typename Change>
  void Step(const std::string& name, State state, bool durable, Change change) {
    if (failed_) return;
    std::vector<History::Step>& steps = histories_[name].steps;
    steps.push_back({std::move(state), Disk::calls()});
    order_.push_back(name);
    report_(Event::kStepBegun);
    const absl::Status status = change();
    failed_ = !status.ok();
    if (failed_) return;
    steps.back().acknowledged = Disk::calls();
    if (durable) steps.back().synced = Disk::calls();
    report_(Event::kStepAcknowledged);
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

  // Makes `as` what `name` is, by way of a snapshot.
  void Adopt(const std::string& name, const std::string& as) {
    if (failed_) return;
    Step(as, histories_[name].steps.back().state, true, [&]() -> absl::Status {
      Engine& engine = **engine_;
      const auto snapshot = engine.CreateSnapshot("s", "", CallControl());
      if (!snapshot.ok()) return snapshot.status();
      const auto adopted =
          engine.AdoptNamespace(*engine.snapshots().Find("s"), name, as, CallControl());
      return adopted.status();
    });
    if (!failed_) (*engine_)->snapshots().Delete("s").IgnoreError();
  }

  void Write(const std::string& name, uint64_t begin, uint64_t end) {
    if (failed_) return;
    State state = histories_[name].steps.back().state;
    const uint64_t number = ++state->position;
    const uint32_t generation = static_cast<uint32_t>(number);
    const std::vector<uint64_t> ids = Range(begin, end);
    const std::string encoded = *metadata::EncodeAttributes(Tagged(generation));
    const std::vector<std::string_view> attributes(ids.size(), encoded);
    std::vector<float> values;
    for (const uint64_t id : ids) {
      state->records[id] = {generation, generation};
      const std::vector<float> vector = VectorOf(id, generation);
      values.insert(values.end(), vector.begin(), vector.end());
    }
    Step(name, std::move(state), false, [&]() -> absl::Status {
      const auto found = (*engine_)->FindNamespace(name);
      if (!found.ok()) return found.status();
      return (*found)
          ->Upsert({.ids = {.type = IdType::kNumber, .numbers = ids},
                    .fields = {{.vectors = View(values)}},
                    .attributes = attributes},
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

  // Changes the metadata of the records that are there.
  void Update(const std::string& name, uint64_t begin, uint64_t end) {
    if (failed_) return;
    State state = histories_[name].steps.back().state;
    const int64_t tag = 1000 + static_cast<int64_t>(order_.size());
    const std::vector<uint64_t> ids = Range(begin, end);
    for (const uint64_t id : ids) {
      if (const auto found = state->records.find(id); found != state->records.end()) {
        found->second.tag = tag;
      }
    }
    Step(name, std::move(state), false, [&]() -> absl::Status {
      const auto found = (*engine_)->FindNamespace(name);
      if (!found.ok()) return found.status();
      const std::vector<metadata::MergePatch> patch = {{.set = Tagged(tag), .remove = {}}};
      return (*found)->UpdateMetadata({.type = IdType::kNumber, .numbers = ids}, patch).status();
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

  void WaitUntilIdle(const std::string& name) {
    const auto found = failed_ ? absl::CancelledError() : (*engine_)->FindNamespace(name);
    const absl::Time end = absl::Now() + patience_;
    while (found.ok() && !(*found)->Idle() && absl::Now() < end) std::this_thread::yield();
  }

  const absl::Duration patience_;
  const Report report_;
  absl::StatusOr<std::unique_ptr<Engine>> engine_;
  std::map<std::string, History> histories_;
  std::vector<std::string> order_;
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
  const auto scanner = *(*found)->Scan("", {.include = {.vectors = true, .metadata = true}});
  std::string token;
  bool done = false;
  while (!done) {
    const auto records = scanner->Next(10'000, size_t{1} << 30, &token, &done);
    if (!records.ok()) ADD_FAILURE() << records.status();
    if (!records.ok()) return content;
    for (size_t i = 0; i < records->ids.numbers.size(); ++i) {
      const uint64_t id = records->ids.numbers[i];
      std::vector<float> vector(kDimension);
      std::memcpy(vector.data(), records->fields[0].bytes.data() + i * kDimension * sizeof(float),
                  kDimension * sizeof(float));
      Record& record = content.records[id];
      record.generation = static_cast<uint32_t>(vector[2]);
      EXPECT_EQ(vector, VectorOf(id, record.generation));
      const auto attributes = metadata::DecodeAttributes(records->attributes[i]);
      if (!attributes.ok()) ADD_FAILURE() << "id " << id << ": " << attributes.status();
      if (attributes.ok()) record.tag = attributes->at(kTag).values.front().view().integer;
    }
  }
  return content;
}

// The index holds what the records hold: an exact search for all gives each once, a walk finds some, and
// filters find each tag as often as it is there.
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
  std::map<int64_t, uint64_t> tags;
  for (const auto& [id, record] : content.records) wanted.push_back(id), ++tags[record.tag];
  EXPECT_EQ(ids, wanted);
  for (const auto& [tag, records] : tags) {
    uint64_t sequence = 0;
    const metadata::Filter filter =
        metadata::Filter::In(kTag, {metadata::Value(metadata::ValueView::Int64(tag))});
    EXPECT_EQ(space.Count(&filter, &sequence), records) << "of tag " << tag;
  }
  for (size_t i = 0; i < wanted.size(); i += wanted.size() / 5 + 1) {
    const std::vector<float> vector = VectorOf(wanted[i], content.records.at(wanted[i]).generation);
    const auto walked =
        space.Search({.queries = View(vector), .k = 10, .ef_search = 100}, CallControl());
    ASSERT_TRUE(walked.ok()) << walked.status();
    ASSERT_FALSE(walked->records.ids.numbers.empty()) << "nothing found like id " << wanted[i];
    EXPECT_EQ(walked->records.ids.numbers.front(), wanted[i]);
  }
}

void ExpectClean(const std::string& path) {
  const auto report = CheckDataDirectory(path);
  if (absl::IsNotFound(report.status())) return;  // it came to nothing
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->record_damage, IsEmpty());
  EXPECT_THAT(report->index_damage, IsEmpty());
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
    // A snapshot that is there is whole.
    const auto snapshots = (*engine)->snapshots().List();
    ASSERT_TRUE(snapshots.ok()) << snapshots.status();
    for (const SnapshotInfo& snapshot : *snapshots) {
      const auto report = CheckSnapshot(*(*engine)->snapshots().Find(snapshot.name));
      ASSERT_TRUE(report.ok()) << report.status();
      EXPECT_TRUE(report->clean());
      EXPECT_GT(report->records, 0u);
    }
  }
  ExpectClean(path);
  EXPECT_THAT(CheckDataDirectory(path)->leftovers, IsEmpty());
}

class EveryWriteTest : public testing::Test {
 protected:
  EveryWriteTest() { std::filesystem::create_directory(Path("real")); }

  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }

  // Runs the script on the recorded disk.
  std::vector<DiskCall> RunScript() {
    Disk::Record(Path("real"));
    {
      bool all_run = false;
      Script script(Path("real") + "/data", absl::Seconds(30),
                    [&](Event event) { all_run = event == Event::kAllRun; });
      script.Run();
      EXPECT_TRUE(all_run);
      histories_ = script.histories();
      order_ = script.order();
    }
    return Disk::Stop();
  }

  storage::TemporaryDirectory directory_;
  std::map<std::string, History> histories_;
  std::vector<std::string> order_;
};

TEST_F(EveryWriteTest, TheRecordedDiskHoldsWhatTheRealOneHolds) {
  DiskImage image(Path("real"));
  size_t segments_removed = 0;
  for (const DiskCall& call : RunScript()) {
    image.Apply(call);
    segments_removed += call.kind == DiskCall::Kind::kRemove && call.path.ends_with(".segment");
  }
  EXPECT_GE(segments_removed, 6u) << "the script rebuilds, merges and drops";
  image.Write(CrashKind::kKilled, Path("recorded"));
  const std::string command = StrCat("diff -r -x LOG ", Path("real"), " ", Path("recorded"));
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

// Of the calls every so manieth is tried, by each kind of crash and failure others; all of them take five
// times as long as is good for a test of every change.
size_t Stride() {
  const char* const text = std::getenv("VARVE_CRASH_STRIDE");
  return text == nullptr ? 5 : std::stoul(text);
}

class CrashTest : public EveryWriteTest, public testing::WithParamInterface<CrashKind> {};

TEST_P(CrashTest, NothingAcknowledgedIsLostWhereverItComes) {
  const std::vector<DiskCall> calls = RunScript();
  DiskImage image(Path("real"));
  for (size_t i = 0; i < calls.size() && !HasFailure(); ++i) {
    image.Apply(calls[i]);
    if ((i + static_cast<size_t>(GetParam())) % Stride() != 0) continue;
    SCOPED_TRACE(StrCat("crash after call ", i, " of ", calls.size()));
    image.Write(GetParam(), Path("crashed"));
    // Before anything mends it: the manifest names whole files alone. (Every other time, because the
    // check opens the store.)
    if (i / Stride() % 2 == 0) ExpectClean(Path("crashed") + "/data");
    ExpectNothingLost(Path("crashed") + "/data", histories_, GetParam(), i + 1);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, CrashTest,
                         testing::Values(CrashKind::kKilled, CrashKind::kPowerLoss,
                                         CrashKind::kTorn));

// What a run of the script in a process of its own reported before it ended, in its own time or in
// an assertion of RocksDB's, which some failures meet.
struct Victim {
  size_t begun = 0;
  size_t acknowledged = 0;
  bool all_run = false;
  bool failure_met = false;
};

constexpr std::string_view kVictimFlag = "--victim";

// The process: arguments are a directory, the call to fail, and whether all later ones do. Reports on
// its standard output.
int RunVictim(const std::string& directory, size_t failing, bool and_all_later) {
  const auto report = [](Event event) {
    if (write(STDOUT_FILENO, &event, 1) != 1) abort();
  };
  Disk::Record(directory);
  Disk::FailAt(failing, and_all_later);
  Script(directory + "/data", absl::Milliseconds(60), report).Run();
  return Disk::Stop().size() > failing ? 1 : 0;
}

Victim SpawnVictim(const std::string& directory, size_t failing, bool and_all_later) {
  const std::string command =
      StrCat("exec /proc/", getpid(), "/exe ", kVictimFlag, " ", directory, " ", failing, " ",
             and_all_later ? 1 : 0, " 2>", directory, ".errors");
  FILE* const reports = popen(command.c_str(), "r");
  Victim victim;
  for (int event; (event = fgetc(reports)) != EOF;) {
    victim.begun += event == static_cast<char>(Event::kStepBegun);
    victim.acknowledged += event == static_cast<char>(Event::kStepAcknowledged);
    victim.all_run |= event == static_cast<char>(Event::kAllRun);
  }
  victim.failure_met = pclose(reports) != 0;
  return victim;
}

// The histories of a run that came so far; `order` is a whole run's.
std::map<std::string, History> CutShort(const std::map<std::string, History>& histories,
                                        const std::vector<std::string>& order,
                                        const Victim& victim) {
  std::map<std::string, History> cut;
  for (const auto& [name, history] : histories) cut[name];
  for (size_t i = 0; i < victim.begun; ++i) {
    History& history = cut[order[i]];
    const State& state = histories.at(order[i]).steps[history.steps.size()].state;
    history.steps.push_back({state, 0, i < victim.acknowledged ? 0 : ~size_t{0}});
  }
  return cut;
}

// One of so many parts of all calls.
constexpr size_t kParts = 3;
class FailureTest : public EveryWriteTest, public testing::WithParamInterface<size_t> {};

TEST_P(FailureTest, NothingAcknowledgedIsLostWhicheverCallFails) {
  RunScript();
  for (const bool and_all_later : {false, true}) {
    bool met = true;
    for (size_t failing = GetParam(); met && !HasFailure(); failing += kParts) {
      if ((failing / kParts + and_all_later) % Stride() != 0) continue;
      SCOPED_TRACE(StrCat("call ", failing, and_all_later ? " and all later fail" : " fails"));
      std::filesystem::remove_all(Path("failing"));
      std::filesystem::create_directory(Path("failing"));
      const Victim victim = SpawnVictim(Path("failing"), failing, and_all_later);
      met = victim.failure_met;
      ASSERT_TRUE(met || victim.all_run);
      ExpectNothingLost(Path("failing") + "/data", CutShort(histories_, order_, victim),
                        CrashKind::kKilled, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, FailureTest, testing::Range(size_t{0}, kParts));

}  // namespace
}  // namespace varve::engine

int main(int argc, char** argv) {
  if (argc == 5 && argv[1] == varve::engine::kVictimFlag) {
    return varve::engine::RunVictim(argv[2], std::stoul(argv[3]), *argv[4] == '1');
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
