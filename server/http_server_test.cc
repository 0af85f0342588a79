#include "server/http_server.h"

#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>

namespace varve::server {
namespace {

TEST(HttpServerTest, ReadinessFollowsTheServerAndHealthDoesNot) {
  std::atomic<bool> ready = false;
  const auto server = HttpServer::Start(
      "127.0.0.1", 0, {[&ready] { return ready.load(); }, [] { return "varve 1\n"; }});
  ASSERT_TRUE(server.ok()) << server.status();
  httplib::Client client("127.0.0.1", (*server)->port());
  EXPECT_EQ(client.Get("/readyz")->status, 503);
  EXPECT_EQ(client.Get("/healthz")->status, 200);
  ready = true;
  EXPECT_EQ(client.Get("/readyz")->status, 200);
  ready = false;
  EXPECT_EQ(client.Get("/readyz")->status, 503);
  EXPECT_EQ(client.Get("/elsewhere")->status, 404);
  const auto metrics = client.Get("/metrics");
  EXPECT_EQ(metrics->status, 200) << "ready or not";
  EXPECT_EQ(metrics->body, "varve 1\n");
  EXPECT_EQ(metrics->get_header_value("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
}

TEST(HttpServerTest, APortInUseIsRefusedByName) {
  const HttpServer::Sources sources = {[] { return true; }, [] { return ""; }};
  const auto first = HttpServer::Start("127.0.0.1", 0, sources);
  ASSERT_TRUE(first.ok());
  const auto second = HttpServer::Start("127.0.0.1", (*first)->port(), sources);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(second.status().message().find(std::to_string((*first)->port())), std::string::npos);
}

}  // namespace
}  // namespace varve::server
