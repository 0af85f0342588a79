// A process writes commits and is killed; every commit it had reported must be there, whole, and so
// must be what follows from it: nothing of a commit that is not there, and the producer's position.
//
// The test binary is its own victim: with --victim=DIR it is the process that writes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/str_cat.h"
#include "storage/record_store.h"
#include "storage/temporary_directory.h"

namespace varve::storage {
namespace {

constexpr std::string_view kVictimFlag = "--victim=";
constexpr char kNamespace[] = "crashing";
constexpr char kProducer[] = "victim";
constexpr uint64_t kRecordsPerCommit = 20;
constexpr int kReportFd = 3;

// So small that kills meet flushes, compactions and changes of the log.
RecordStoreOptions TinyBuffers() { return {.write_buffer_bytes = 64 << 10}; }

constexpr FieldNumber kFields[] = {kDefaultField, 3};
constexpr RecordParts kEverything = {.fields = kFields, .metadata = true};

std::string Vector(uint64_t sequence, uint64_t record) {
  const std::string word = StrCat(sequence, "/", record, " ");
  std::string vector;
  while (vector.size() < 1000) vector += word;
  return vector;
}

std::string Id(uint64_t sequence, uint64_t record) { return StrCat(sequence, "/", record); }

struct Record {
  std::string vector;
  std::string other_vector;  // of every second record
  std::string attributes;    // of every third
  int64_t expires_at = kNeverExpires;

  bool operator==(const Record&) const = default;
};
using Records = std::map<std::string, Record>;

Record MakeRecord(uint64_t sequence, uint64_t record) {
  Record made{.vector = Vector(sequence, record)};
  if (record % 2 == 0) made.other_vector = Vector(record, sequence).substr(0, 300);
  if (record % 3 == 0) {
    made.attributes = Id(sequence, record);
    made.expires_at = static_cast<int64_t>(sequence);
  }
  return made;
}

// What commit `sequence` makes of the metadata of (sequence - 1)/1.
std::string UpdatedAttributes(uint64_t sequence) { return StrCat("updated by ", sequence); }

// Commit s writes s/0 ... s/19, replaces "latest", updates (s-1)/1 and deletes (s-1)/0; so what is
// stored follows from the last commit's number alone.
Records RecordsAfter(uint64_t sequence) {
  Records records;
  for (uint64_t s = 1; s <= sequence; ++s) {
    for (uint64_t i = 0; i < kRecordsPerCommit; ++i) {
      if (i > 0 || s == sequence) records[Id(s, i)] = MakeRecord(s, i);
    }
    if (s < sequence) records[Id(s, 1)].attributes = UpdatedAttributes(s + 1);
  }
  if (sequence > 0) records["latest"] = MakeRecord(sequence, 999);
  return records;
}

bool WriteCommit(RecordStore* store, const NamespaceEntry& entry, CommitState* state) {
  const uint64_t sequence = ++state->sequence;
  Records puts;
  for (uint64_t i = 0; i < kRecordsPerCommit; ++i) puts[Id(sequence, i)] = MakeRecord(sequence, i);
  puts["latest"] = MakeRecord(sequence, 999);
  std::vector<std::string_view> ids, vectors, other_vectors, attributes;
  std::vector<int64_t> expires_at;
  for (const auto& [id, record] : puts) {
    ids.push_back(id);
    vectors.push_back(record.vector);
    other_vectors.push_back(record.other_vector);
    attributes.push_back(record.attributes);
    expires_at.push_back(record.expires_at);
  }
  const FieldColumn fields[] = {{kFields[0], vectors}, {kFields[1], other_vectors}};
  const std::string deleted = Id(sequence - 1, 0), updated = Id(sequence - 1, 1);
  const std::vector<std::string_view> touched = {"latest", deleted, updated};
  std::vector<uint64_t> rows;
  if (!store->FindRows(entry.number, touched, &rows).ok()) return false;
  const std::string new_attributes = UpdatedAttributes(sequence);
  const MetadataUpdate update = {.row = rows.back(), .attributes = new_attributes};
  rows.pop_back();
  std::erase(rows, kNoRow);

  Commit commit;
  commit.namespace_number = entry.number;
  commit.first_row = state->next_row;
  state->next_row += ids.size();
  commit.state = *state;
  commit.ids = ids;
  commit.fields = fields;
  commit.attributes = attributes;
  commit.expires_at = expires_at;
  if (update.row != kNoRow) commit.updates = absl::MakeConstSpan(&update, 1);
  commit.deleted_ids = absl::MakeConstSpan(&touched[1], 1);
  commit.dead_rows = rows;
  commit.namespace_fields = kFields;
  commit.producer = kProducer;
  commit.producer_batch = sequence;
  return store->Write(commit).ok();
}

// Writes until it is killed; reports each commit that was acknowledged.
int Victim(const std::string& directory) {
  auto store = RecordStore::Open(directory, TinyBuffers());
  if (!store.ok()) return 1;
  const auto entries = (*store)->ListNamespaces();
  if (!entries.ok() || entries->size() != 1) return 1;
  const NamespaceEntry& entry = entries->front();
  CommitState state = entry.state;
  while (WriteCommit(store->get(), entry, &state)) {
    if (state.sequence % 7 == 0) (*store)->SyncAsync([](const absl::Status&) {});
    if (write(kReportFd, &state.sequence, sizeof(state.sequence)) != sizeof(state.sequence)) {
      return 0;  // the test is gone
    }
  }
  return 1;
}

// A process that runs Victim(); killed when destroyed at the latest.
class VictimProcess {
 public:
  explicit VictimProcess(const std::string& directory) {
    int ends[2];
    if (pipe(ends) != 0) abort();
    reports_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_adddup2(&actions, ends[1], kReportFd);
    std::string program = "/proc/self/exe";
    std::string flag = StrCat(kVictimFlag, directory);
    char* const arguments[] = {program.data(), flag.data(), nullptr};
    EXPECT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
  }
  ~VictimProcess() {
    Kill();
    close(reports_);
  }

  // The number of the next commit it reports; 0 when it has ended and all is read.
  uint64_t NextReport() {
    uint64_t sequence = 0;
    return read(reports_, &sequence, sizeof(sequence)) == sizeof(sequence) ? sequence : 0;
  }
  void Kill() {
    if (pid_ == 0) return;
    kill(pid_, SIGKILL);
    waitpid(std::exchange(pid_, 0), nullptr, 0);
  }

 private:
  pid_t pid_ = 0;
  int reports_ = -1;
};

// Each commit after the first killed "latest" and a deleted record, and updated one.
void ExpectMarks(const RecordStore& store, const NamespaceEntry& entry) {
  for (const FieldNumber field : kFields) {
    for (const auto& [kind, count] :
         {std::pair(RowMarkKind::kTombstone, 2), std::pair(RowMarkKind::kUpdate, 1)}) {
      std::map<uint64_t, int> marks;  // by commit
      const auto found = store.ReadMarks(kind, entry.number, field, {1, kLastRow});
      ASSERT_TRUE(found.ok()) << found.status();
      for (const RowMark& mark : *found) ++marks[mark.sequence];
      std::map<uint64_t, int> expected;
      for (uint64_t s = 2; s <= entry.state.sequence; ++s) expected[s] = count;
      EXPECT_EQ(marks, expected) << "field " << field;
    }
  }
}

// Sets `reported` to the last commit that is there.
void ExpectWholeCommits(const std::string& directory, uint64_t* reported) {
  auto store = RecordStore::Open(directory, TinyBuffers());
  ASSERT_TRUE(store.ok()) << store.status();
  const auto entries = (*store)->ListNamespaces();
  ASSERT_TRUE(entries.ok()) << entries.status();
  const NamespaceEntry& entry = entries->front();
  const uint64_t sequence = entry.state.sequence;
  EXPECT_GE(sequence, *reported);
  EXPECT_LE(sequence, *reported + 1) << "only one can have been written and not reported";
  *reported = sequence;
  EXPECT_EQ((*store)->ProducerPosition(entry.number, kProducer).value_or(0), sequence);

  Records stored;
  auto cursor = (*store)->ScanByRow(entry.number, {1, kLastRow}, kEverything);
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  StoredRecord record;
  while (true) {
    const auto more = (*cursor)->Next(&record);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    const bool added = stored
                           .emplace(record.id, Record{.vector = record.vectors.at(0),
                                                      .other_vector = record.vectors.at(1),
                                                      .attributes = record.attributes,
                                                      .expires_at = record.expires_at})
                           .second;
    EXPECT_TRUE(added) << record.id << " comes twice";
    EXPECT_LT(record.row, entry.state.next_row);
  }
  EXPECT_TRUE(stored == RecordsAfter(sequence)) << "after commit " << sequence;
  ExpectMarks(**store, entry);
}

TEST(RecordStoreCrashTest, EveryReportedCommitOfAKilledProcessIsThereWhole) {
  constexpr uint32_t kSeed = 7;
  constexpr int kKills = 15;
  std::mt19937 random(kSeed);
  const TemporaryDirectory directory;
  {
    auto store = RecordStore::Open(directory.path(), TinyBuffers());
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE((*store)->CreateNamespace(kNamespace, "").ok());
  }
  uint64_t reported = 0;
  for (int i = 0; i < kKills; ++i) {
    SCOPED_TRACE(StrCat("seed ", kSeed, ", kill ", i));
    VictimProcess victim(directory.path());
    for (uint64_t left = 1 + random() % 100; left > 0; --left) {
      const uint64_t report = victim.NextReport();
      ASSERT_EQ(report, reported + 1) << "the victim ended by itself, or lost a commit";
      reported = report;
    }
    victim.Kill();
    while (const uint64_t report = victim.NextReport()) reported = report;
    ExpectWholeCommits(directory.path(), &reported);
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace varve::storage

int main(int argc, char** argv) {
  const std::string_view argument = argc == 2 ? argv[1] : "";
  if (argument.substr(0, varve::storage::kVictimFlag.size()) == varve::storage::kVictimFlag) {
    return varve::storage::Victim(std::string(argument.substr(varve::storage::kVictimFlag.size())));
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
