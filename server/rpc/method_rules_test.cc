#include "server/rpc/method_rules.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "varve/v1/admin_service.pb.h"
#include "varve/v1/ingest_service.pb.h"
#include "varve/v1/namespace_service.pb.h"
#include "varve/v1/query_service.pb.h"

namespace varve::server {
namespace {

// "QueryService.Search" and so on, of every service of the protocol.
std::vector<std::string> AllMethods() {
  const google::protobuf::FileDescriptor* const files[] = {
      v1::StatsRequest::descriptor()->file(), v1::IngestRequest::descriptor()->file(),
      v1::Namespace::descriptor()->file(), v1::SearchRequest::descriptor()->file()};
  std::vector<std::string> methods;
  for (const auto* file : files) {
    for (int i = 0; i < file->service_count(); ++i) {
      const auto* service = file->service(i);
      for (int j = 0; j < service->method_count(); ++j) {
        methods.push_back(service->name() + "." + service->method(j)->name());
      }
    }
  }
  return methods;
}

TEST(MethodRulesTest, EveryMethodOfTheProtocolHasARule) {
  EXPECT_THAT(AllMethods(), testing::SizeIs(testing::Ge(20)));
  for (const std::string& method : AllMethods()) {
    EXPECT_NE(FindRule(method), nullptr) << method << ": add it to server/rpc/method_rules.cc";
  }
}

TEST(MethodRulesTest, WhatChangesNothingTakesReadAndTheRestDoesNot) {
  EXPECT_EQ(RuleOf("QueryService.Search").scope, Scope::kRead);
  EXPECT_EQ(RuleOf("IngestService.Ingest").scope, Scope::kWrite);
  EXPECT_EQ(RuleOf("NamespaceService.DeleteNamespace").scope, Scope::kAdmin);
}

TEST(MethodRulesTest, AMethodWithoutARuleTakesAdminAndIsAudited) {
  EXPECT_EQ(RuleOf("QueryService.Unheard").scope, Scope::kAdmin);
  EXPECT_TRUE(RuleOf("QueryService.Unheard").audited);
}

}  // namespace
}  // namespace varve::server
