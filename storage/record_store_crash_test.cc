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

std::string Vector(uint64_t sequence, uint64_t record) {
  const std::string word = StrCat(sequence, "/", record, " ");
  std::string vector;
  while (vector.size() < 1000) vector += word;
  return vector;
}

std::string Id(uint64_t sequence, uint64_t record) { return StrCat(sequence, "/", record); }

// Commit s writes s/0 ... s/19, replaces "latest" and deletes (s-1)/0; so what is stored follows
// from the last commit's number alone.
using Records = std::map<std::string, std::string>;
Records RecordsAfter(uint64_t sequence) {
  Records records;
  for (uint64_t s = 1; s <= sequence; ++s) {
    for (uint64_t i = 0; i < kRecordsPerCommit; ++i) {
      if (i > 0 || s == sequence) records[Id(s, i)] = Vector(s, i);
    }
  }
  if (sequence > 0) records["latest"] = Vector(sequence, 999);
  return records;
}

bool WriteCommit(RecordStore* store, const NamespaceEntry& entry, CommitState* state) {
  const uint64_t sequence = ++state->sequence;
  Records puts;
  for (uint64_t i = 0; i < kRecordsPerCommit; ++i) puts[Id(sequence, i)] = Vector(sequence, i);
  puts["latest"] = Vector(sequence, 999);
  const std::string deleted = Id(sequence - 1, 0);
  std::vector<std::string_view> ids;
  std::vector<std::string_view> vectors;
  for (const auto& [id, vector] : puts) {
    ids.push_back(id);
    vectors.push_back(vector);
  }
  const std::vector<std::string_view> gone = {"latest", deleted};
  std::vector<uint64_t> dead_rows;
  if (!store->FindRows(entry.number, gone, &dead_rows).ok()) return false;
  std::erase(dead_rows, kNoRow);

  Commit commit;
  commit.namespace_number = entry.number;
  commit.first_row = state->next_row;
  state->next_row += ids.size();
  commit.state = *state;
  commit.ids = ids;
  commit.vectors = vectors;
  commit.deleted_ids = absl::MakeSpan(gone).subspan(1);
  commit.dead_rows = dead_rows;
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
  auto cursor = (*store)->ScanByRow(entry.number, {1, kLastRow});
  ASSERT_TRUE(cursor.ok()) << cursor.status();
  StoredRecord record;
  while (true) {
    const auto more = (*cursor)->Next(&record);
    ASSERT_TRUE(more.ok()) << more.status();
    if (!*more) break;
    EXPECT_TRUE(stored.emplace(record.id, record.vector).second) << record.id << " comes twice";
    EXPECT_LT(record.row, entry.state.next_row);
  }
  EXPECT_TRUE(stored == RecordsAfter(sequence)) << "after commit " << sequence;
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
