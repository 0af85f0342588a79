#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/input/hdf5_file.h"
#include "clients/cli/input/number_file.h"
#include "clients/cli/input/vector_file.h"
#include "clients/cli/verbs/verbs.h"

// info: what a data directory or a file of vectors holds.
namespace varve::cli {
namespace {

struct InfoOptions {
  std::string path;
  std::optional<uint32_t> dimension;
};

std::string BytesText(uint64_t bytes) { return Megabytes(static_cast<double>(bytes)); }

absl::StatusOr<Json> FieldJson(const std::string& name_space, const client::VectorField& field,
                               client::Client* client) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<client::Segment> segments,
                         client->ListSegments(name_space, field.name));
  uint64_t rows = 0, indexed = 0, bytes = 0;
  for (const client::Segment& segment : segments) {
    rows += segment.live_rows;
    indexed += segment.indexed_rows;
    bytes += segment.file_bytes;
  }
  return Json{{"name", field.name},
              {"dimension", field.dimension},
              {"metric", client::MetricName(field.metric)},
              {"element_type", DTypeName(field.element_type)},
              {"multi_vector", field.multi_vector},
              {"segments", segments.size()},
              {"rows", rows},
              {"indexed_rows", indexed},
              {"file_bytes", bytes}};
}

absl::StatusOr<Json> NamespaceJson(const client::Namespace& space, client::Client* client) {
  VARVE_ASSIGN_OR_RETURN(const client::ServerStats stats, client->Stats(space.name));
  Json fields = Json::array();
  for (const client::VectorField& field : space.fields) {
    VARVE_ASSIGN_OR_RETURN(Json one, FieldJson(space.name, field, client));
    fields.push_back(std::move(one));
  }
  return Json{{"name", space.name},
              {"records", stats.of_namespace->records},
              {"id_type", client::IdTypeName(space.id_type)},
              {"sequence", stats.of_namespace->sequence},
              {"fields", std::move(fields)}};
}

std::string DirectoryTable(const Json& namespaces) {
  Table table({"NAMESPACE", "RECORDS", "FIELD", "DIMENSION", "METRIC", "TYPE", "SEGMENTS", "ROWS",
               "FILES"});
  for (const Json& space : namespaces) {
    for (const Json& field : space["fields"]) {
      const auto text = [&](const char* name) { return field[name].get<std::string>(); };
      const auto number = [&](const char* name) { return field[name].get<uint64_t>(); };
      table.Add({space["name"].get<std::string>(), Thousands(space["records"].get<uint64_t>()),
                 text("name"), StrCat(number("dimension")), text("metric"),
                 text("element_type") + (field["multi_vector"].get<bool>() ? "[]" : ""),
                 Thousands(number("segments")), Thousands(number("rows")),
                 BytesText(number("file_bytes"))});
    }
  }
  return table.Text();
}

absl::Status DescribeDirectory(const std::string& path, Session& session) {
  VARVE_RETURN_IF_ERROR(session.WorkOn({.data_dir = path}));
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const std::vector<client::Namespace> spaces, client->ListNamespaces());
  VARVE_ASSIGN_OR_RETURN(const client::ServerStats stats, client->Stats(""));
  Json namespaces = Json::array();
  for (const client::Namespace& space : spaces) {
    VARVE_ASSIGN_OR_RETURN(Json one, NamespaceJson(space, client));
    namespaces.push_back(std::move(one));
  }
  if (session.json) {
    session.PrintJson({{"directory", path},
                       {"disk_bytes", stats.disk_bytes},
                       {"namespaces", std::move(namespaces)}});
    return absl::OkStatus();
  }
  session.out() << path << ": data directory, " << Thousands(spaces.size())
                << (spaces.size() == 1 ? " namespace, " : " namespaces, ")
                << BytesText(stats.disk_bytes) << "\n";
  if (!spaces.empty()) session.out() << DirectoryTable(namespaces);
  return absl::OkStatus();
}

// What a file holds: one part, or of an HDF5 file one for each dataset.
absl::StatusOr<std::vector<Hdf5Shape>> Parts(const InfoOptions& options) {
  if (IsHdf5FileName(options.path)) return ListHdf5(options.path);
  VARVE_ASSIGN_OR_RETURN(const NumberFile file,
                         NumberFile::Open(options.path, options.dimension, kTrainDataset));
  return std::vector<Hdf5Shape>{
      {.type = file.type(), .rows = file.rows(), .columns = file.columns()}};
}

absl::Status DescribeFile(const InfoOptions& options, Session& session) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<Hdf5Shape> parts, Parts(options));
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(options.path, error);
  if (error) return absl::ErrnoToStatus(error.value(), options.path);
  const std::string format = std::filesystem::path(options.path).extension().string().substr(1);
  Json list = Json::array();
  for (const Hdf5Shape& part : parts) {
    Json one = {
        {"element_type", TypeText(part.type)}, {"rows", part.rows}, {"dimension", part.columns}};
    if (!part.name.empty()) one["dataset"] = part.name;
    list.push_back(std::move(one));
  }
  if (session.json) {
    session.PrintJson(
        {{"file", options.path}, {"format", format}, {"bytes", bytes}, {"parts", list}});
    return absl::OkStatus();
  }
  session.out() << options.path << ": " << format << ", " << BytesText(bytes) << "\n";
  for (const Hdf5Shape& part : parts) {
    session.out() << (part.name.empty() ? "" : StrCat(part.name, ": ")) << Thousands(part.rows)
                  << " x " << part.columns << " of " << TypeText(part.type) << "\n";
  }
  return absl::OkStatus();
}

absl::Status RunInfo(const InfoOptions& options, Session& session) {
  std::error_code error;
  if (std::filesystem::is_directory(options.path, error)) {
    return DescribeDirectory(options.path, session);
  }
  if (!std::filesystem::exists(options.path, error)) {
    return absl::NotFoundError(StrCat(options.path, ": there is no such file or directory"));
  }
  if (NeedsDimension(options.path) && !options.dimension) {
    return UsageError("a .f32 file needs --dimension");
  }
  return DescribeFile(options, session);
}

}  // namespace

void AddInfo(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<InfoOptions>();
  CLI::App* const verb =
      app.add_subcommand("info", "Tells what a data directory or a file of vectors holds");
  verb->add_option("PATH", options->path, "A data directory that no server has, or a file")
      ->required();
  verb->add_option("--dimension", options->dimension, "Elements per vector, for .f32");
  verb->callback([=] { *chosen = [=](Session& session) { return RunInfo(*options, session); }; });
}

}  // namespace varve::cli
