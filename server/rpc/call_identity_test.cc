#include "server/rpc/call_identity.h"

#include <gtest/gtest.h>

#include <string>

namespace varve::server {
namespace {

constexpr char kTrace[] = "4bf92f3577b34da6a3ce929d0e0e4736";
constexpr char kSpan[] = "00f067aa0ba902b7";

CallIdentity Identify(const std::string& key, const std::string& value) {
  return IdentifyCall({{key, value}});
}

TEST(CallIdentityTest, AClientsRequestIdIsTaken) {
  for (const std::string& id : {std::string("a"), std::string("order/17 ").substr(0, 8),
                                std::string(kRequestIdBytesMax, 'x'), std::string("~!{}\"")}) {
    EXPECT_EQ(Identify("x-request-id", id).request_id, id);
  }
}

TEST(CallIdentityTest, ARequestIdThatIsNotOneIsReplacedByOneThatIsMade) {
  for (const std::string& id :
       {std::string(), std::string("a b"), std::string("tab\t"), std::string("caf\xc3\xa9"),
        std::string(kRequestIdBytesMax + 1, 'x'), std::string(1, '\0')}) {
    const std::string made = Identify("x-request-id", id).request_id;
    EXPECT_EQ(made.size(), 16u) << id;
    EXPECT_NE(made, IdentifyCall({}).request_id) << "each is another";
  }
}

TEST(CallIdentityTest, ATraceContextIsTaken) {
  const std::string parent = std::string("00-") + kTrace + "-" + kSpan + "-01";
  for (const std::string& text :
       {parent, "cc" + parent.substr(2), "cc" + parent.substr(2) + "-more"}) {
    const CallIdentity identity = Identify("traceparent", text);
    EXPECT_EQ(identity.trace_id, kTrace) << text;
    EXPECT_EQ(identity.span_id, kSpan) << text;
    EXPECT_EQ(LogFields(identity).size(), 3u);
  }
}

TEST(CallIdentityTest, ATraceContextOfAnotherFormIsPassedOver) {
  const std::string trace = kTrace, span = kSpan;
  for (const std::string& text : {
           std::string(),
           "00-" + trace + "-" + span,
           "00-" + trace + "-" + span + "-0",
           "00-" + trace + "-" + span + "-01-more",
           "cc-" + trace + "-" + span + "-01x",
           "ff-" + trace + "-" + span + "-01",
           "0g-" + trace + "-" + span + "-01",
           "00_" + trace + "-" + span + "-01",
           "00-" + trace + "_" + span + "-01",
           "00-" + trace + "-" + span + "_01",
           "00-" + trace + "-" + span + "-0A",
           "00-" + std::string(32, '0') + "-" + span + "-01",
           "00-" + trace + "-" + std::string(16, '0') + "-01",
           "00-" + std::string(32, 'A') + "-" + span + "-01",
       }) {
    const CallIdentity identity = Identify("traceparent", text);
    EXPECT_EQ(identity.trace_id, "") << text;
    EXPECT_EQ(identity.span_id, "") << text;
    EXPECT_EQ(LogFields(identity).size(), 1u);
  }
}

}  // namespace
}  // namespace varve::server
