// Creates a namespace, streams vectors into it and searches. Run a server first: varved.

#include <cstdio>
#include <vector>

#include "base/status_macros.h"
#include "clients/cpp/varve/client.h"
#include "clients/cpp/varve/ingest_writer.h"

namespace {

using varve::client::Client;
using varve::client::Hit;
using varve::client::IngestWriter;
using varve::client::View;

absl::Status Run() {
  VARVE_ASSIGN_OR_RETURN(const auto client, Client::Connect("127.0.0.1:7780"));
  VARVE_RETURN_IF_ERROR(
      client->CreateNamespace({.name = "colours", .fields = {{.dimension = 3}}}).status());

  VARVE_ASSIGN_OR_RETURN(const auto writer, IngestWriter::Open(*client, {.name_space = "colours",
                                                                         .producer = "example"}));
  const std::vector<std::string> ids = {"red", "green", "yellow"};
  const std::vector<float> vectors = {1, 0, 0, 0, 1, 0, 1, 1, 0};
  VARVE_RETURN_IF_ERROR(
      writer->Write({.ids = absl::MakeConstSpan(ids), .vectors = View(vectors, 3)}).status());
  VARVE_RETURN_IF_ERROR(writer->Finish());

  const std::vector<float> query = {0.9f, 0.8f, 0};
  VARVE_ASSIGN_OR_RETURN(const auto found, client->Search("colours", View(query, 3), {.k = 2}));
  for (const Hit& hit : found.hits) {
    std::printf("%s %g\n", std::get<std::string>(hit.id).c_str(), hit.distance);
  }
  return client->DeleteNamespace("colours");
}

}  // namespace

int main() {
  const absl::Status status = Run();
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
