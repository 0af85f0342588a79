#include "server/rpc/api_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "server/rpc/key_ring.h"
#include "storage/temporary_directory.h"

namespace varve::server {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// SHA-256 of "abc".
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

std::string File(const std::string& entries) { return "{\"keys\": [" + entries + "]}"; }

std::string Entry(const std::string& id, const std::string& hash = kAbc,
                  const std::string& more = "") {
  return R"({"id": ")" + id + R"(", "sha256": ")" + hash +
         R"(", "scope": "write", "namespaces": ["a", "logs-*"])" + more + "}";
}

TEST(ApiKeysTest, AnEntryIsReadAndWrittenAgain) {
  const auto keys = ParseApiKeys(File(Entry("k", kAbc, R"(, "expires": "2027-01-31T00:00:00Z")")));
  ASSERT_TRUE(keys.ok()) << keys.status();
  ASSERT_EQ(keys->size(), 1u);
  const ApiKey& key = keys->front();
  EXPECT_EQ(key.id, "k");
  EXPECT_EQ(key.hash, HashKey("abc"));
  EXPECT_EQ(key.scope, Scope::kWrite);
  EXPECT_EQ(absl::FormatTime(absl::RFC3339_sec, key.expires, absl::UTCTimeZone()),
            "2027-01-31T00:00:00+00:00");
  const auto again = ParseApiKeys(FormatApiKeys(*keys));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(FormatApiKeys(*again), FormatApiKeys(*keys));
  EXPECT_EQ(again->front().expires, key.expires);
}

TEST(ApiKeysTest, PatternsCoverNamesAndBeginnings) {
  ApiKey key{.namespaces = {"a", "logs-*"}};
  for (const char* name : {"a", "logs-", "logs-2026"}) EXPECT_TRUE(key.Covers(name)) << name;
  for (const char* name : {"", "ab", "log", "Logs-1", "xlogs-1", "logs"}) {
    EXPECT_FALSE(key.Covers(name)) << name;
  }
  EXPECT_FALSE(key.CoversAll());
  key.namespaces = {"*"};
  EXPECT_TRUE(key.Covers("anything"));
  EXPECT_TRUE(key.CoversAll());
}

TEST(ApiKeysTest, AWrongEntryIsNamedAndItsHashIsNotShown) {
  const std::string secret = "varve_not-a-hash-but-a-key";
  const struct {
    std::string text;
    std::string expected;
  } cases[] = {
      {"{", "is not JSON"},
      {"[]", "must be {\"keys\": [...]}"},
      {R"({"keys": [], "more": 1})", "must be {\"keys\": [...]}"},
      {File("1"), "entry 1: must be an object"},
      {File(Entry("ok") + "," + Entry("ok", std::string(64, '0'))),
       "entry 2 (ok): the id is there"},
      {File(Entry("ok") + "," + Entry("b")), "entry 2 (b): the key is there twice"},
      {File(Entry("k", kAbc, R"(, "scpe": 1)")), "entry 1 (k): unknown member \"scpe\""},
      {File(R"({"id": "k"})"), "entry 1 (k): \"namespaces\" is missing"},
      {File(Entry("with space")), "\"id\" must be"},
      {File(Entry("")), "\"id\" must be"},
      {File(Entry("k", secret)), "\"sha256\" must be 64 hexadecimal digits"},
      {File(Entry("k", std::string(63, '0') + "g")), "\"sha256\" must be 64 hexadecimal digits"},
      {File(Entry("k", kAbc, R"(, "expires": "tomorrow")")), "expires must be a time such as"},
      {File(Entry("k", kAbc, R"(, "expires": 5)")), "\"expires\" must be text"},
      {File(R"({"id":"k","sha256":")" + std::string(kAbc) +
            R"(","scope":"all","namespaces":["*"]})"),
       "scope must be read, write or admin, is \"all\""},
      {File(R"({"id":"k","sha256":")" + std::string(kAbc) + R"(","scope":"read","namespaces":[]})"),
       "\"namespaces\" must be a list of 1"},
      {File(R"({"id":"k","sha256":")" + std::string(kAbc) +
            R"(","scope":"read","namespaces":["a*b"]})"),
       "a namespace must be a name"},
      {File(R"({"id":"k","sha256":")" + std::string(kAbc) +
            R"(","scope":"read","namespaces":[""]})"),
       "a namespace must be a name"},
  };
  for (const auto& one : cases) {
    const auto keys = ParseApiKeys(one.text);
    EXPECT_TRUE(absl::IsInvalidArgument(keys.status())) << one.text;
    EXPECT_THAT(std::string(keys.status().message()),
                AllOf(HasSubstr(one.expected), Not(HasSubstr(secret))))
        << one.text;
  }
}

TEST(ApiKeysTest, AFileHasABoundedSizeAndNumberOfKeys) {
  std::string entries;
  for (size_t i = 0; i <= kKeysMax; ++i) {
    std::string hash = std::to_string(i);
    hash.insert(0, 64 - hash.size(), '0');
    entries += (i == 0 ? "" : ",") + Entry("k" + std::to_string(i), hash);
    if (i + 1 == kKeysMax) EXPECT_TRUE(ParseApiKeys(File(entries)).ok());
  }
  EXPECT_THAT(std::string(ParseApiKeys(File(entries)).status().message()),
              HasSubstr("at most 1000 keys, holds 1001"));
  const storage::TemporaryDirectory directory;
  const std::string path = directory.path() + "/keys.json";
  std::ofstream(path) << File("") << std::string(kKeyFileBytesMax, ' ');
  EXPECT_THAT(std::string(ReadApiKeys(path).status().message()),
              AllOf(HasSubstr(path), HasSubstr("larger than 1048576 bytes")));
  EXPECT_TRUE(absl::IsNotFound(ReadApiKeys(path + "x").status()));
  EXPECT_THAT(std::string(ReadApiKeys(directory.path()).status().message()),
              HasSubstr(directory.path()));
}

TEST(ApiKeysTest, MadeKeysDiffer) {
  std::set<std::string> keys;
  for (int i = 0; i < 100; ++i) keys.insert(MakeKey());
  EXPECT_EQ(keys.size(), 100u);
  EXPECT_EQ(keys.begin()->size(), 6u + 43u);
}

TEST(KeyRingTest, AReloadTakesWhatIsThereAndAFailedOneLeavesWhatWas) {
  const storage::TemporaryDirectory directory;
  const std::string path = directory.path() + "/keys.json";
  std::ofstream(path) << File(Entry("first"));
  const auto ring = KeyRing::Open(path);
  ASSERT_TRUE(ring.ok()) << ring.status();
  ASSERT_NE((*ring)->Find(HashKey("abc")), nullptr);
  EXPECT_EQ((*ring)->Find(HashKey("abc"))->id, "first");
  EXPECT_EQ((*ring)->Find(HashKey("abd")), nullptr);

  std::ofstream(path) << File(Entry("second", std::string(64, '0')));
  const auto held = (*ring)->Find(HashKey("abc"));
  EXPECT_TRUE((*ring)->Reload().ok());
  EXPECT_EQ((*ring)->Find(HashKey("abc")), nullptr);
  EXPECT_EQ(held->id, "first");

  std::ofstream(path) << "{";
  EXPECT_FALSE((*ring)->Reload().ok());
  EXPECT_EQ((*ring)->size(), 1u);
  EXPECT_NE((*ring)->Find(KeyHash{}), nullptr);
}

}  // namespace
}  // namespace varve::server
