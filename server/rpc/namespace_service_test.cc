#include "server/rpc/namespace_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/rpc/server_fixture.h"

namespace varve::server {
namespace {

using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;

class NamespaceServiceTest : public ServerFixture {
 protected:
  void SetUp() override { Start(); }

  grpc::Status Create(const v1::Namespace& description, v1::Namespace* made) {
    v1::CreateNamespaceRequest request;
    *request.mutable_namespace_() = description;
    grpc::ClientContext context;
    v1::CreateNamespaceResponse response;
    const grpc::Status status = namespaces_->CreateNamespace(&context, request, &response);
    *made = response.namespace_();
    return status;
  }

  grpc::Status Describe(const std::string& name, v1::Namespace* found) {
    v1::GetNamespaceRequest request;
    request.set_name(name);
    grpc::ClientContext context;
    v1::GetNamespaceResponse response;
    const grpc::Status status = namespaces_->GetNamespace(&context, request, &response);
    *found = response.namespace_();
    return status;
  }
};

TEST_F(NamespaceServiceTest, ANamespaceIsDescribedAsItWasMade) {
  v1::Namespace description;
  description.set_name("docs");
  description.add_fields()->set_dimension(8);
  v1::Namespace made;
  ASSERT_THAT(Create(description, &made), IsOk());
  EXPECT_EQ(made.fields(0).metric(), v1::METRIC_L2);
  EXPECT_EQ(made.fields(0).element_type(), v1::DTYPE_F32);
  EXPECT_EQ(made.fields(0).index().m(), 16);
  EXPECT_TRUE(made.has_create_time());
  v1::Namespace found;
  ASSERT_THAT(Describe("docs", &found), IsOk());
  EXPECT_EQ(found.SerializeAsString(), made.SerializeAsString());
  EXPECT_THAT(Create(description, &made), StatusIs(grpc::StatusCode::ALREADY_EXISTS, _));
  EXPECT_THAT(Describe("other", &found), StatusIs(grpc::StatusCode::NOT_FOUND, _));
}

TEST_F(NamespaceServiceTest, ABadDescriptionIsRefused) {
  v1::Namespace name;
  name.set_name("Not a name");
  name.add_fields()->set_dimension(8);
  v1::Namespace dimension;
  dimension.set_name("docs");
  dimension.add_fields()->set_dimension(70'000);
  v1::Namespace metric;
  metric.set_name("docs");
  metric.add_fields()->set_metric(static_cast<v1::Metric>(9));
  for (const auto& [description, message] :
       {std::pair{name, "name"}, {dimension, "70000"}, {metric, "metric"}}) {
    v1::Namespace made;
    EXPECT_THAT(Create(description, &made),
                StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr(message)));
  }
}

TEST_F(NamespaceServiceTest, PagesCoverAllNamespacesInOrder) {
  for (const char* name : {"c", "a", "e", "b", "d"}) CreateNamespace(name);
  v1::ListNamespacesRequest request;
  request.set_page_size(2);
  std::vector<std::string> names;
  std::vector<int> sizes;
  do {
    grpc::ClientContext context;
    v1::ListNamespacesResponse response;
    ASSERT_THAT(namespaces_->ListNamespaces(&context, request, &response), IsOk());
    for (const v1::Namespace& listed : response.namespaces()) names.push_back(listed.name());
    sizes.push_back(response.namespaces_size());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("a", "b", "c", "d", "e"));
  EXPECT_THAT(sizes, ElementsAre(2, 2, 1));
}

TEST_F(NamespaceServiceTest, AnUpdateChangesWhatItNames) {
  CreateNamespace("docs");
  v1::UpdateNamespaceRequest request;
  request.set_name("docs");
  request.mutable_index()->set_ef_search(99);
  grpc::ClientContext context;
  v1::UpdateNamespaceResponse response;
  ASSERT_THAT(namespaces_->UpdateNamespace(&context, request, &response), IsOk());
  EXPECT_EQ(response.namespace_().fields(0).index().ef_search(), 99);
  EXPECT_EQ(response.namespace_().fields(0).index().m(), 16);
  request.mutable_index()->set_ef_search(0);
  grpc::ClientContext other;
  EXPECT_THAT(namespaces_->UpdateNamespace(&other, request, &response),
              StatusIs(grpc::StatusCode::INVALID_ARGUMENT, HasSubstr("ef_search")));
}

TEST_F(NamespaceServiceTest, ADeletedNamespaceIsGoneAndItsNameFree) {
  CreateNamespace("docs");
  Upsert("docs", MakeRecords(0, 10));
  v1::DeleteNamespaceRequest request;
  request.set_name("docs");
  v1::DeleteNamespaceResponse response;
  {
    grpc::ClientContext context;
    ASSERT_THAT(namespaces_->DeleteNamespace(&context, request, &response), IsOk());
  }
  {
    grpc::ClientContext context;
    EXPECT_THAT(namespaces_->DeleteNamespace(&context, request, &response),
                StatusIs(grpc::StatusCode::NOT_FOUND, _));
  }
  CreateNamespace("docs");
  EXPECT_EQ(Count("docs"), 0);
}

}  // namespace
}  // namespace varve::server
