#include "clients/cli/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "clients/cli/input/npy.h"
#include "clients/cli/testing/files.h"
#include "clients/cpp/testing/fake_server.h"

namespace varve::cli {
namespace {

using client::testing::FakeServer;
using client::testing::IngestPoint;
using ::testing::AllOf;
using testing::BytesOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using testing::ReadTestFile;
using ::testing::StartsWith;
using testing::TestPath;
using testing::WriteTestFile;

struct Ran {
  int code = 0;
  std::string out;
  std::string err;

  Json json() const { return Json::parse(out); }
};

// The whole program in this process, against a fake server.
class AppTest : public ::testing::Test {
 protected:
  AppTest() { setenv("VARVE_SERVER", server_.target().c_str(), 1); }
  ~AppTest() override { unsetenv("VARVE_SERVER"); }

  static Ran Varve(std::vector<std::string> words) {
    words.insert(words.begin(), "varve");
    std::ostringstream out;
    std::ostringstream err;
    const int code = cli::Run({.command_line = words, .out = &out, .err = &err});
    return {code, out.str(), err.str()};
  }

  static void Make(const std::string& name, const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = {"namespace", "create", name, "--dimension", "2"};
    words.insert(words.end(), more.begin(), more.end());
    ASSERT_EQ(Varve(words).code, 0);
  }

  // A file of `rows` vectors (i, i).
  static std::string Vectors(size_t rows, const std::string& name = "vectors.npy") {
    std::vector<float> values;
    for (size_t i = 0; i < rows; ++i) values.insert(values.end(), 2, static_cast<float>(i));
    return WriteTestFile(name, NpyHeader("<f4", {rows, 2}) + BytesOf(values));
  }

  FakeServer server_;
};

TEST_F(AppTest, WrongCommandLinesAreUsageErrorsInOneLine) {
  const std::vector<std::vector<std::string>> wrong = {
      {},
      {"frobnicate"},
      {"namespace"},
      {"namespace", "create", "a"},
      {"namespace", "create", "a", "--dimension", "x"},
      {"namespace", "create", "a", "--dimension", "2", "--metric", "manhattan"},
      {"namespace", "create", "a", "--dimension", "2", "--element-type", "f64"},
      {"namespace", "create", "a", "--dimension", "2", "--id-type", "uuid"},
      {"namespace", "create", "a", "--field", "b"},
      {"namespace", "create", "a", "--field", "b:3:euclid"},
      {"namespace", "create", "a", "--field", "b:3", "--multi-vector"},
      {"namespace", "create", "a", "--field", "b:3", "--metric", "l2"},
      {"namespace", "create", "a", "--dimension", "2", "--attribute", "price"},
      {"namespace", "create", "a", "--dimension", "2", "--attribute", "price:float"},
      {"namespace", "create", "a", "--dimension", "2", "--ttl", "soon"},
      {"namespace", "create", "a", "--dimension", "2", "--ttl", "0s"},
      {"namespace", "update", "a"},
      {"count"},
      {"count", "a", "b"},
      {"count", "a", "--frobnicate"},
      {"ingest", "a"},
      {"ingest", "a", "--input", "vectors.csv"},
      {"ingest", "a", "--input", "vectors.f32"},
      {"ingest", "a", "--input", "v.npy", "--streams", "0"},
      {"ingest", "a", "--input", "v.npy", "--batch-size", "0"},
      {"ingest", "a", "--input", "v.npy", "--durability", "maybe"},
      {"ingest", "a", "--input", "v.npy", "--producer", std::string(201, 'x')},
      {"ingest", "a", "--input", "v.npy", "--metadata", "m.json"},
      {"ingest", "a", "--input", "v.npy", "--metadata", "m.jsonl.zst"},
      {"ingest", "a", "--input", "v.npy", "--vectors", "w.npy"},
      {"ingest", "a", "--input", "v.npy", "--vectors", "b=w.csv"},
      {"ingest", "a", "--input", "v.npy", "--vectors", "b=w.npy", "--vectors", "b=x.npy"},
      {"ingest", "a", "--input", "v.npy", "--field", "b", "--vectors", "b=w.npy"},
      {"ingest", "a", "--input", "v.npy", "--expire", "tomorrow"},
      {"ingest", "a", "--input", "v.npy", "--expire", "+1x"},
      {"search", "a"},
      {"search", "a", "--queries", "q.csv"},
      {"search", "a", "--queries", "q.f32"},
      {"search", "a", "--queries", "q.npy", "--k", "0"},
      {"search", "a", "--queries", "q.npy", "--k", "10001"},
      {"search", "a", "--queries", "q.npy", "--output", "hits.csv"},
      {"search", "a", "--queries", "q.npy", "--output", "hits.npy", "--metadata"},
      {"search", "a", "--queries", "q.npy", "--like", "7"},
      {"search", "a", "--queries", "q.npy", "--unlike", "7"},
      {"search", "a", "--unlike", "7"},
      {"search", "a", "--like", "7", "--query-offsets", "o.npy"},
      {"search", "a", "--queries", "q.npy", "--group-by", "c", "--group-size", "101"},
      {"search", "a", "--queries", "q.npy", "--diversity", "1.5"},
      {"scan", "a", "--token", "7"},
      {"update", "a", "7"},
      {"update", "a", "--metadata", "{}"},
      {"update", "a", "7", "--metadata", "[]"},
      {"update", "a", "7", "--metadata", "{"},
      {"delete", "a", "7", "--filter", "x = 1"},
      {"delete", "a", "7", "--dry-run"},
      {"delete", "a", "--dry-run"},
      {"get", "a"},
      {"get", "a", "7", "--ids", "ids.txt"},
      {"delete", "a"},
  };
  for (const std::vector<std::string>& words : wrong) {
    const Ran ran = Varve(words);
    std::string line;
    for (const std::string& word : words) line += " " + word;
    EXPECT_EQ(ran.code, 2) << line;
    EXPECT_EQ(ran.out, "") << line;
    EXPECT_THAT(ran.err, AllOf(StartsWith("varve: "), HasSubstr("--help)"), EndsWith("\n")))
        << line;
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << line;
  }
}

TEST_F(AppTest, HelpIsAResult) {
  const Ran ran = Varve({"ingest", "--help"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("--wait-indexed"));
  EXPECT_EQ(ran.err, "");
}

TEST_F(AppTest, GlobalOptionsStandBeforeOrBehindTheVerb) {
  Make("a");
  unsetenv("VARVE_SERVER");
  const std::string server = server_.target();
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--server", server, "--json", "count", "a"},
        std::vector<std::string>{"count", "a", "--server", server, "--json"},
        std::vector<std::string>{"count", "--json", "a", "--server=" + server}}) {
    const Ran ran = Varve(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_EQ(ran.json()["count"], 0);
  }
}

TEST_F(AppTest, AServerThatIsNotThereIsAFailureInOneLine) {
  server_.Stop();
  const Ran ran = Varve({"count", "a"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, StartsWith("varve: server " + server_.target()));
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1);
}

TEST_F(AppTest, AnAddressThatIsNoneIsAFailure) {
  EXPECT_EQ(Varve({"--server", "nowhere", "count", "a"}).code, 1);
}

TEST_F(AppTest, NamespacesAreCreatedDescribedListedUpdatedAndDeleted) {
  const Ran created = Varve({"namespace", "create", "a", "--dimension", "3", "--metric", "cosine",
                             "--element-type", "u8", "--id-type", "text", "--m", "32", "--json"});
  ASSERT_EQ(created.code, 0) << created.err;
  EXPECT_EQ(created.json()["metric"], "cosine");
  EXPECT_EQ(created.json()["element_type"], "u8");
  EXPECT_EQ(created.json()["id_type"], "text");
  EXPECT_EQ(created.json()["index"]["m"], 32);
  EXPECT_EQ(Varve({"namespace", "create", "a", "--dimension", "3"}).err,
            "varve: namespace a exists\n");

  EXPECT_EQ(Varve({"namespace", "update", "a", "--ef-search", "99"}).code, 0);
  EXPECT_EQ(Varve({"namespace", "describe", "a", "--json"}).json()["index"]["ef_search"], 99);
  EXPECT_THAT(Varve({"namespace", "describe", "a"}).out, HasSubstr("dimension: 3\n"));

  Make("b");
  EXPECT_EQ(Varve({"namespace", "list", "--json"}).json()["namespaces"].size(), 2);
  EXPECT_EQ(Varve({"namespace", "list"}).out,
            "NAME  DIMENSION  METRIC  ELEMENTS  IDS\n"
            "a             3  cosine  u8        text\n"
            "b             2  l2      f32       undecided\n");

  EXPECT_EQ(Varve({"namespace", "delete", "a"}).code, 0);
  EXPECT_EQ(Varve({"namespace", "describe", "a"}).err, "varve: namespace a does not exist\n");
}

TEST_F(AppTest, ANamespaceHasFieldsAttributesAndATtl) {
  const Ran created = Varve({"namespace", "create", "a", "--field", "title:3:cosine", "--field",
                             "tokens:4::i8:multi", "--attribute", "at:timestamp", "--attribute",
                             "tags:string[]", "--ttl", "36h", "--json"});
  ASSERT_EQ(created.code, 0) << created.err;
  const Json json = created.json();
  EXPECT_FALSE(json.contains("dimension"));
  EXPECT_EQ(json["fields"][0]["name"], "title");
  EXPECT_EQ(json["fields"][0]["metric"], "cosine");
  EXPECT_FALSE(json["fields"][0].contains("multi_vector"));
  EXPECT_EQ(json["fields"][1]["element_type"], "i8");
  EXPECT_EQ(json["fields"][1]["multi_vector"], true);
  EXPECT_EQ(ToText(json["attributes"]),
            "[{\"path\":\"at\",\"type\":\"timestamp\"},{\"path\":\"tags\",\"type\":\"string[]\"}]");
  EXPECT_EQ(json["ttl"], "36h");
  const Ran described = Varve({"namespace", "describe", "a"});
  EXPECT_THAT(described.out, AllOf(HasSubstr("ttl: 36h\n"), HasSubstr("attribute tags: string[]\n"),
                                   HasSubstr("field title:\n  dimension: 3\n"),
                                   HasSubstr("\n  multi_vector: true\n")));

  Make("b", {"--multi-vector", "--ttl", "7d"});
  EXPECT_EQ(
      Varve({"namespace", "list"}).out,
      "NAME  DIMENSION  METRIC  ELEMENTS  IDS        FIELD   TTL  ATTRIBUTES\n"
      "a             3  cosine  f32       undecided  title   36h  at:timestamp tags:string[]\n"
      "              4  l2      i8[]                 tokens\n"
      "b             2  l2      f32[]     undecided          7d\n");
  EXPECT_EQ(Varve({"namespace", "update", "a", "--field", "title", "--m", "32", "--json"})
                .json()["fields"][0]["index"]["m"],
            32);
}

TEST_F(AppTest, IngestedRowsAreCountedFoundGotScannedAndDeleted) {
  Make("a");
  const Ran ingest = Varve({"ingest", "a", "--input", Vectors(100), "--wait-indexed", "--json"});
  ASSERT_EQ(ingest.code, 0) << ingest.err;
  EXPECT_EQ(ingest.json()["rows"], 100);
  EXPECT_EQ(ingest.json()["committed"], 100);
  EXPECT_EQ(ingest.json()["complete"], true);
  EXPECT_EQ(Varve({"count", "a"}).out, "100\n");
  EXPECT_EQ(Varve({"count", "a", "--json"}).json()["count"], 100);
  EXPECT_EQ(Varve({"segments", "a", "--json"}).json()["segments"].size(), 1);
  EXPECT_EQ(Varve({"stats", "a", "--json"}).json()["namespace"]["records"], 100);

  const std::string query =
      WriteTestFile("query.npy", NpyHeader("<f4", {1, 2}) + BytesOf<float>({41, 41}));
  const Ran search = Varve({"search", "a", "--queries", query, "--k", "2", "--json"});
  ASSERT_EQ(search.code, 0) << search.err;
  EXPECT_EQ(ToText(search.json()["results"]),
            "[[{\"id\":41,\"distance\":0.0},{\"id\":40,\"distance\":2.0}]]");

  EXPECT_EQ(Varve({"get", "a", "7"}).out, "{\"id\":7,\"vector\":[7.0,7.0]}\n");
  const Ran get = Varve({"get", "a", "7", "777", "--json"});
  EXPECT_EQ(ToText(get.json()),
            "{\"records\":[{\"id\":7,\"vector\":[7.0,7.0]}],\"missing\":[777]}");

  EXPECT_EQ(Varve({"scan", "a", "--limit", "2"}).out, "{\"id\":0}\n{\"id\":1}\n");
  const Ran scan = Varve({"scan", "a", "--vectors", "--json"});
  EXPECT_EQ(scan.json()["records"].size(), 100);
  EXPECT_EQ(ToText(scan.json()["records"][99]), "{\"id\":99,\"vector\":[99.0,99.0]}");

  const std::string ids = WriteTestFile("ids.txt", "0\n1\n777\n");
  EXPECT_EQ(Varve({"delete", "a", "--ids", ids}).out, "deleted 2 of 3 records\n");
  EXPECT_EQ(Varve({"count", "a"}).out, "98\n");
}

TEST_F(AppTest, AnEmptyScanAndGetAreDocumentsToo) {
  Make("a");
  EXPECT_EQ(ToText(Varve({"scan", "a", "--json"}).json()), "{\"records\":[]}");
  EXPECT_EQ(ToText(Varve({"get", "a", "7", "--json"}).json()), "{\"records\":[],\"missing\":[7]}");
}

TEST_F(AppTest, InANamespaceOfTextANumberIsText) {
  Make("a", {"--id-type", "text"});
  const std::string ids = WriteTestFile("ids.txt", "1999\n2000\n");
  ASSERT_EQ(Varve({"ingest", "a", "--input", Vectors(2), "--ids", ids}).code, 0);
  EXPECT_EQ(ToText(Varve({"get", "a", "2000", "--json"}).json()["records"][0]["id"]), "\"2000\"");
  EXPECT_EQ(Varve({"delete", "a", "2000"}).out, "deleted 1 of 1 records\n");
  EXPECT_THAT(Varve({"ingest", "a", "--input", Vectors(2)}).err, HasSubstr("--ids"));
}

TEST_F(AppTest, SearchWritesFiles) {
  Make("a");
  ASSERT_EQ(Varve({"ingest", "a", "--input", Vectors(3)}).code, 0);
  const std::string output = TestPath("found.npy");
  const Ran ran = Varve({"search", "a", "--queries", Vectors(2), "--k", "5", "--output", output});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto ids = OpenNpy(output);
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(ids->data, BytesOf<int64_t>({0, 1, 2, -1, -1, 1, 0, 2, -1, -1}));
  EXPECT_TRUE(OpenNpy(TestPath("found.distances.npy")).ok());
}

TEST_F(AppTest, FilesThatDoNotFitTheNamespaceAreRefused) {
  Make("a");
  Make("bytes", {"--element-type", "u8"});
  const auto error = [&](const std::vector<std::string>& words) {
    const Ran ran = Varve(words);
    EXPECT_EQ(ran.code, 1);
    return ran.err;
  };
  const std::string wide =
      WriteTestFile("wide.npy", NpyHeader("<f4", {1, 3}) + BytesOf<float>({1, 2, 3}));
  EXPECT_THAT(error({"ingest", "a", "--input", wide}),
              HasSubstr("has dimension 3, namespace a has 2"));
  EXPECT_THAT(error({"ingest", "bytes", "--input", Vectors(2)}),
              HasSubstr("holds f32, namespace bytes stores u8"));
  const std::string ids = WriteTestFile("ids.txt", "1\n2\n3\n");
  EXPECT_THAT(error({"ingest", "a", "--input", Vectors(2), "--ids", ids}),
              HasSubstr("holds 3 ids"));
  EXPECT_THAT(error({"ingest", "a", "--input", "nowhere.npy"}), HasSubstr("nowhere.npy"));
  EXPECT_EQ(server_.commits("a").size(), 0);
}

TEST_F(AppTest, ABatchThatWouldBeTooLargeIsAUsageError) {
  Make("a");
  const Ran ran =
      Varve({"ingest", "a", "--input", Vectors(2), "--batch-size", "1000000", "--json"});
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("at most"));
}

TEST_F(AppTest, TheSameProducerSendsOnlyWhatIsMissing) {
  Make("a");
  const std::vector<std::string> words = {"ingest",       "a",  "--input",     Vectors(100),
                                          "--producer",   "p",  "--streams",   "3",
                                          "--batch-size", "10", "--retry-for", "0"};
  int batches = 0;
  server_.set_ingest_fault([&](IngestPoint at, uint64_t) -> std::optional<grpc::Status> {
    if (at != IngestPoint::kBeforeCommit || ++batches <= 4) return std::nullopt;
    return grpc::Status(grpc::UNAVAILABLE, "gone");
  });
  const Ran broken = Varve(words);
  EXPECT_EQ(broken.code, 1);
  EXPECT_EQ(broken.out, "");
  EXPECT_THAT(broken.err,
              AllOf(HasSubstr("of 100 rows are committed"),
                    HasSubstr("go on with: varve ingest a --input "), HasSubstr("--producer p\n")));
  server_.Stop();  // else a stream of the broken run could commit once the fault is lifted
  server_.set_ingest_fault(nullptr);
  server_.Restart();
  EXPECT_EQ(server_.commits("a").size(), 4);

  const Ran resumed = Varve(words);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_THAT(resumed.out, HasSubstr("ingested 60 rows"));
  EXPECT_THAT(resumed.out, HasSubstr("40 of 100 rows were already committed"));
  EXPECT_EQ(server_.commits("a").size(), 10);

  const Ran again = Varve(words);
  EXPECT_THAT(again.out, HasSubstr("100 of 100 rows were already committed"));
  EXPECT_EQ(server_.commits("a").size(), 10);
  EXPECT_EQ(Varve({"count", "a"}).out, "100\n");
}

TEST_F(AppTest, AChangedFileOrBatchSizeIsSentAnewUnderTheSameProducer) {
  Make("a");
  const auto sent = [&](const std::string& file, const std::string& batch_size) {
    const Ran ran = Varve(
        {"ingest", "a", "--input", file, "--producer", "p", "--batch-size", batch_size, "--json"});
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.json()["sent"].get<int>();
  };
  const std::string file = Vectors(100);
  EXPECT_EQ(sent(file, "10"), 100);
  EXPECT_EQ(sent(file, "10"), 0);
  EXPECT_EQ(sent(file, "20"), 100);
  std::string changed = ReadTestFile(file);
  changed.back() = 'x';
  EXPECT_EQ(sent(WriteTestFile("changed.npy", changed), "10"), 100);
  EXPECT_EQ(sent(file, "10"), 0);
}

TEST_F(AppTest, ARefusedBatchIsNamedByItsRowsInTheFile) {
  Make("a");
  server_.set_ingest_fault([](IngestPoint at, uint64_t number) -> std::optional<grpc::Status> {
    if (at != IngestPoint::kBeforeCommit || number != 3) return std::nullopt;
    return grpc::Status(grpc::INVALID_ARGUMENT, "row 4 is NaN");
  });
  const Ran ran = Varve({"ingest", "a", "--input", Vectors(50), "--batch-size", "10", "--json"});
  server_.set_ingest_fault(nullptr);
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("vectors.npy: in the batch of rows 20 to 29: "));
  EXPECT_THAT(ran.err, HasSubstr("row 4 is NaN"));
  EXPECT_EQ(ran.json()["complete"], false);
  EXPECT_EQ(ran.json()["committed"], 20);
  EXPECT_THAT(ran.json()["resume"].get<std::string>(), HasSubstr("--producer run-"));
}

// Namespace "a" with three records of metadata {"c": "even" or "odd", "i": id}.
class MetadataAppTest : public AppTest {
 protected:
  void SetUp() override {
    Make("a", {"--attribute", "at:timestamp", "--attribute", "price:double"});
    const std::string metadata =
        WriteTestFile("m.jsonl",
                      "{\"c\":\"even\",\"i\":0,\"at\":\"2001-09-09T01:46:40Z\",\"price\":7}\n"
                      "{\"c\":\"odd\",\"i\":1}\n"
                      "{\"c\":\"even\",\"i\":2}\n");
    const Ran ran = Varve({"ingest", "a", "--input", Vectors(3), "--metadata", metadata});
    ASSERT_EQ(ran.code, 0) << ran.err;
  }
};

TEST_F(MetadataAppTest, MetadataIsPrintedWithRecords) {
  EXPECT_EQ(Varve({"get", "a", "1", "--metadata", "--no-vectors"}).out,
            "{\"id\":1,\"metadata\":{\"c\":\"odd\",\"i\":1}}\n");
  EXPECT_EQ(Varve({"scan", "a", "--metadata", "--filter", "c = \"even\""}).out,
            "{\"id\":0,\"metadata\":{\"at\":\"2001-09-09T01:46:40Z\",\"c\":\"even\",\"i\":0,"
            "\"price\":7.0}}\n"
            "{\"id\":2,\"metadata\":{\"c\":\"even\",\"i\":2}}\n");
  EXPECT_EQ(Varve({"count", "a", "--filter", "c = \"even\""}).out, "2\n");
}

TEST_F(MetadataAppTest, AScanThatIsCutGoesOnBehindTheLastRecordPrinted) {
  const Ran first = Varve({"scan", "a", "--limit", "2", "--json"});
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.json()["records"].size(), 2);
  const std::string token = first.json()["next_token"];
  const Ran rest = Varve({"scan", "a", "--token", token, "--limit", "1"});
  EXPECT_EQ(rest.out, "{\"id\":2}\n");
  EXPECT_EQ(rest.err, "");
  EXPECT_THAT(Varve({"scan", "a", "--limit", "1"}).err, HasSubstr("go on with --token "));
}

TEST_F(MetadataAppTest, ASearchTellsGroupsAndMetadata) {
  const Ran ran =
      Varve({"search",       "a",          "--queries", Vectors(2, "q.npy"), "--k", "2",
             "--metadata",   "--group-by", "c",         "--group-size",      "3",   "--diversity",
             "0.5",          "--offset",   "1",         "--max-distance",    "9",   "--filter",
             "c = \"even\"", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json()["queries"], 2);
  EXPECT_EQ(ToText(ran.json()["results"][1][1]),
            "{\"id\":2,\"distance\":2.0,\"group\":\"even\",\"metadata\":{\"c\":\"even\",\"i\":2}}");
  const auto options = server_.search_options();
  EXPECT_EQ(options.group_by(), "c");
  EXPECT_EQ(options.group_size(), 3);
  EXPECT_EQ(options.diversity().weight(), 0.5);
  EXPECT_EQ(options.offset(), 1);
  EXPECT_EQ(options.max_distance(), 9);
}

TEST_F(MetadataAppTest, AnExplanationStandsBelowTheResults) {
  const Ran ran = Varve({"search", "a", "--queries", Vectors(2, "q.npy"), "--explain"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("\nhow query 0 went:\nSEGMENT"),
                             HasSubstr("filtered walk        25.00   20.00      1,234"),
                             EndsWith("filter: 0.250 ms\n")));
  const Ran json = Varve({"search", "a", "--like", "1", "--explain", "--json"});
  EXPECT_EQ(json.json()["explanation"]["segments"][0]["plan"], "filtered walk");
}

TEST_F(MetadataAppTest, RecordsAreSearchedByExample) {
  const Ran ran =
      Varve({"search", "a", "--like", "2", "--like", "1", "--unlike", "0", "--k", "1", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ToText(ran.json()["results"]), "[[{\"id\":2,\"distance\":0.0}]]");
}

TEST_F(MetadataAppTest, AFilterThatIsWrongIsShownWithACaret) {
  const std::string fault =
      "varve: filter: filter, column 4: = must follow an attribute, found the end\n"
      "  c ?\n"
      "     ^\n";
  for (const std::vector<std::string>& words : {std::vector<std::string>{"count", "a"},
                                                {"scan", "a"},
                                                {"delete", "a"},
                                                {"search", "a", "--like", "1"}}) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"--filter", "c ?"});
    const Ran ran = Varve(all);
    EXPECT_EQ(ran.code, 1);
    EXPECT_EQ(ran.err, fault) << words[0];
  }
}

TEST_F(MetadataAppTest, RecordsAreDeletedByFilterAfterALook) {
  EXPECT_EQ(Varve({"delete", "a", "--filter", "c = \"even\"", "--dry-run"}).out,
            "would delete 2 records: 0, 2\n");
  EXPECT_EQ(
      ToText(Varve({"delete", "a", "--filter", "i = 1", "--dry-run", "--json"}).json()["sample"]),
      "[1]");
  EXPECT_EQ(Varve({"count", "a"}).out, "3\n");
  EXPECT_EQ(Varve({"delete", "a", "--filter", "c = \"even\""}).out, "deleted 2 records\n");
  EXPECT_EQ(Varve({"count", "a"}).out, "1\n");
}

TEST_F(MetadataAppTest, MetadataIsUpdated) {
  const Ran ran =
      Varve({"update", "a", "--metadata",
             R"({"c": null, "at": "2001-09-09T01:46:40Z", "tags": ["x"]})", "1", "777"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "updated 1 of 2 records\n");
  EXPECT_EQ(ran.err, "varve: there are no records [777]\n");
  EXPECT_EQ(Varve({"get", "a", "1", "--metadata", "--no-vectors"}).out,
            "{\"id\":1,\"metadata\":{\"at\":\"2001-09-09T01:46:40Z\",\"i\":1,\"tags\":[\"x\"]}}\n");
  EXPECT_EQ(Varve({"update", "a", "--metadata", "{\"i\":9}", "0", "--json"}).json()["updated"], 1);
  EXPECT_EQ(Varve({"update", "a", "--metadata", "{\"at\":\"x\"}", "0"}).code, 1);
}

TEST_F(AppTest, MetadataThatDoesNotFitIsRefusedBeforeAnythingIsSent) {
  Make("a");
  const std::string one = WriteTestFile("one.jsonl", "{}\n");
  EXPECT_THAT(Varve({"ingest", "a", "--input", Vectors(2), "--metadata", one}).err,
              HasSubstr("one.jsonl: has 1 lines, wanted 2, one for each record"));
  const std::string wrong = WriteTestFile("wrong.jsonl", "{}\n{\n");
  const Ran ran = Varve({"ingest", "a", "--input", Vectors(2), "--metadata", wrong});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("wrong.jsonl: line 2: is not a JSON object"));
  EXPECT_EQ(server_.commits("a").size(), 0);
}

TEST_F(AppTest, OtherMetadataAnotherFieldAndAnotherTimeAreSentAnew) {
  Make("a", {"--field", "b:2"});
  const auto sent = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"ingest",     "a", "--input", Vectors(2),
                                      "--producer", "p", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = Varve(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return ran.json()["sent"].get<int>();
  };
  const std::string metadata = WriteTestFile("m.jsonl", "{}\n{\"a\":1}\n");
  const std::string other = WriteTestFile("o.jsonl", "{}\n{\"a\":2}\n");
  EXPECT_EQ(sent({}), 2);
  for (const std::vector<std::string>& more : {std::vector<std::string>{"--metadata", metadata},
                                               {"--metadata", other},
                                               {"--field", "b"},
                                               {"--vectors", "b=" + Vectors(2, "w.npy")},
                                               {"--expire", "+36h"},
                                               {"--expire", "+37h"}}) {
    EXPECT_EQ(sent(more), 2) << more.back();
    EXPECT_EQ(sent(more), 0) << more.back();
  }
  EXPECT_EQ(sent({}), 0);
}

TEST_F(AppTest, RecordsExpireAndHaveSeveralFields) {
  Make("a", {"--field", "b:2"});
  ASSERT_EQ(Varve({"ingest", "a", "--input", Vectors(2), "--vectors", "b=" + Vectors(2, "w.npy"),
                   "--expire", "2101-09-09T01:46:40Z"})
                .code,
            0);
  EXPECT_EQ(Varve({"get", "a", "1", "--metadata"}).out,
            "{\"id\":1,\"vector\":[1.0,1.0],\"fields\":{\"b\":[1.0,1.0]},\"metadata\":{},"
            "\"expire_time\":\"2101-09-09T01:46:40Z\"}\n");
  const auto error = [&](const std::vector<std::string>& words) { return Varve(words).err; };
  EXPECT_THAT(error({"ingest", "a", "--input", Vectors(2), "--field", "c"}),
              HasSubstr("namespace a has no field c; its fields: the default one, b"));
  EXPECT_THAT(
      error({"ingest", "a", "--input", Vectors(2), "--vectors", "b=" + Vectors(3, "w.npy")}),
      HasSubstr("w.npy: has 3 rows, wanted 2, one for each record"));
}

TEST_F(AppTest, RecordsOfSeveralVectorsAreIngestedAndSearched) {
  Make("a", {"--multi-vector"});
  const auto offsets = [](const std::vector<int64_t>& values) {
    return WriteTestFile("offsets.npy", NpyHeader("<i8", {values.size()}) + BytesOf(values));
  };
  EXPECT_THAT(Varve({"ingest", "a", "--input", Vectors(5)}).err, HasSubstr("with --offsets"));
  const Ran ingest = Varve({"ingest", "a", "--input", Vectors(5), "--offsets",
                            offsets({0, 2, 3, 5}), "--batch-size", "2", "--json"});
  ASSERT_EQ(ingest.code, 0) << ingest.err;
  EXPECT_EQ(ingest.json()["rows"], 3);
  EXPECT_EQ(ingest.json()["sent_bytes"], 40);
  EXPECT_EQ(server_.commits("a").size(), 2);
  EXPECT_EQ(Varve({"get", "a", "0", "2"}).out,
            "{\"id\":0,\"vectors\":[[0.0,0.0],[1.0,1.0]]}\n"
            "{\"id\":2,\"vectors\":[[3.0,3.0],[4.0,4.0]]}\n");
  const Ran one = Varve({"search", "a", "--queries", Vectors(3, "q.npy"), "--json"});
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_EQ(one.json()["queries"], 1);
  const Ran two = Varve({"search", "a", "--queries", Vectors(3, "q.npy"), "--query-offsets",
                         offsets({0, 1, 3}), "--json"});
  EXPECT_EQ(two.json()["queries"], 2);
  Make("b");
  EXPECT_THAT(Varve({"ingest", "b", "--input", Vectors(5), "--offsets", offsets({0, 5})}).err,
              HasSubstr("takes one vector for each record"));
}

}  // namespace
}  // namespace varve::cli
