#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/verbs/verbs.h"

// snapshot: copies of namespaces that the server keeps.
namespace varve::cli {
namespace {

using client::Snapshot;

struct SnapshotOptions {
  std::string name;
  std::string name_space;
  std::string as;
  std::optional<size_t> keep;
};

std::string TimeText(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

Json ToJson(const Snapshot& snapshot) {
  Json namespaces = Json::array();
  for (const Snapshot::Part& part : snapshot.namespaces) {
    namespaces.push_back({{"namespace", part.name_space}, {"sequence", part.sequence}});
  }
  return {{"name", snapshot.name},
          {"create_time", TimeText(snapshot.create_time)},
          {"only_namespace", snapshot.only_namespace},
          {"namespaces", std::move(namespaces)},
          {"bytes", snapshot.bytes}};
}

// Deletes all but the newest `keep` snapshots of the same namespace, or of all, as `made`.
absl::StatusOr<std::vector<std::string>> Prune(client::Client* client, const Snapshot& made,
                                               size_t keep) {
  VARVE_ASSIGN_OR_RETURN(std::vector<Snapshot> all, client->ListSnapshots());
  std::erase_if(all,
                [&](const Snapshot& other) { return other.only_namespace != made.only_namespace; });
  std::vector<std::string> deleted;
  for (size_t i = 0; i + keep < all.size(); ++i) {
    VARVE_RETURN_IF_ERROR(client->DeleteSnapshot(all[i].name));
    deleted.push_back(all[i].name);
  }
  return deleted;
}

absl::Status RunCreate(const SnapshotOptions& options, Session& session) {
  const absl::Time began = absl::Now();
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const Snapshot made,
                         client->CreateSnapshot(options.name, options.name_space));
  std::vector<std::string> deleted;
  if (options.keep) {
    VARVE_ASSIGN_OR_RETURN(deleted, Prune(client, made, *options.keep));
  }
  if (session.json) {
    Json document = ToJson(made);
    document["deleted"] = deleted;
    session.PrintJson(document);
    return absl::OkStatus();
  }
  session.out() << "snapshot " << made.name << " of " << made.namespaces.size()
                << (made.namespaces.size() == 1 ? " namespace" : " namespaces") << ", "
                << Megabytes(static_cast<double>(made.bytes)) << ", in "
                << Took(absl::Now() - began) << "\n";
  for (const std::string& name : deleted) session.out() << "deleted " << name << "\n";
  return absl::OkStatus();
}

absl::Status RunList(Session& session) {
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const std::vector<Snapshot> all, client->ListSnapshots());
  if (session.json) {
    Json snapshots = Json::array();
    for (const Snapshot& snapshot : all) snapshots.push_back(ToJson(snapshot));
    session.PrintJson({{"snapshots", std::move(snapshots)}});
    return absl::OkStatus();
  }
  Table table({"NAME", "MADE", "OF", "NAMESPACES", "SIZE"});
  for (const Snapshot& snapshot : all) {
    table.Add({snapshot.name, TimeText(snapshot.create_time),
               snapshot.only_namespace.empty() ? "all" : snapshot.only_namespace,
               StrCat(snapshot.namespaces.size()), Megabytes(static_cast<double>(snapshot.bytes))});
  }
  session.out() << table.Text();
  return absl::OkStatus();
}

absl::Status RunVerify(const std::string& name, Session& session) {
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::SnapshotReport report, client->VerifySnapshot(name));
  if (session.json) {
    session.PrintJson({{"clean", report.clean()},
                       {"namespaces", report.namespaces},
                       {"records", report.records},
                       {"segments", report.segments},
                       {"record_damage", report.record_damage},
                       {"index_damage", report.index_damage}});
  } else {
    for (const std::string& what : report.record_damage) {
      session.out() << "RECORDS  " << what << "\n";
    }
    for (const std::string& what : report.index_damage) {
      session.out() << "INDEX    " << what << "\n";
    }
    session.out() << (report.clean() ? "clean: " : "DAMAGED: ") << Thousands(report.namespaces)
                  << " namespaces, " << Thousands(report.records) << " records, "
                  << Thousands(report.segments) << " segments\n";
  }
  if (report.record_damage.empty()) return absl::OkStatus();
  return absl::DataLossError(
      StrCat("snapshot ", name, " has damaged records: take another, or make a new one"));
}

absl::Status RunRestore(const SnapshotOptions& options, Session& session) {
  const absl::Time began = absl::Now();
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::RestoredNamespace restored,
                         client->RestoreSnapshot(options.name, options.name_space, options.as));
  if (session.json) {
    session.PrintJson({{"restored", restored.name}, {"sequence", restored.sequence}});
  } else {
    session.out() << "restored namespace " << restored.name << " as of commit " << restored.sequence
                  << " in " << Took(absl::Now() - began) << "\n";
  }
  return absl::OkStatus();
}

absl::Status RunDelete(const std::string& name, Session& session) {
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_RETURN_IF_ERROR(client->DeleteSnapshot(name));
  if (session.json) {
    session.PrintJson({{"deleted", name}});
  } else {
    session.out() << "deleted snapshot " << name << "\n";
  }
  return absl::OkStatus();
}

}  // namespace

void AddSnapshot(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<SnapshotOptions>();
  CLI::App* const verb = app.add_subcommand(
      "snapshot", "Makes, lists, verifies, restores and deletes copies that the server keeps");
  verb->require_subcommand(1);

  CLI::App* const create =
      verb->add_subcommand("create", "Makes a snapshot, while writes and searches go on");
  create->add_option("NAME", options->name, "Its name; the time if left out");
  create->add_option("--namespace", options->name_space, "Only of this one; of all if left out");
  create
      ->add_option(
          "--keep", options->keep,
          "Then delete the oldest, so that so many are left (of the same namespace, or of all)")
      ->check(CLI::Range(1, 1'000'000));
  create->callback(
      [=] { *chosen = [=](Session& session) { return RunCreate(*options, session); }; });

  verb->add_subcommand("list", "Lists the snapshots, the oldest first")->callback([=] {
    *chosen = RunList;
  });

  CLI::App* const verify =
      verb->add_subcommand("verify", "Reads a snapshot and compares all that is in it");
  verify->add_option("NAME", options->name, "The snapshot")->required();
  verify->callback(
      [=] { *chosen = [=](Session& session) { return RunVerify(options->name, session); }; });

  CLI::App* const restore =
      verb->add_subcommand("restore", "Makes a namespace out of one in a snapshot");
  restore->add_option("NAME", options->name, "The snapshot")->required();
  restore->add_option("--namespace", options->name_space,
                      "The namespace in the snapshot; may be left out if there is one only");
  restore->add_option("--as", options->as, "The new namespace's name; the same if left out");
  restore->callback(
      [=] { *chosen = [=](Session& session) { return RunRestore(*options, session); }; });

  CLI::App* const remove = verb->add_subcommand("delete", "Deletes a snapshot");
  remove->add_option("NAME", options->name, "The snapshot")->required();
  remove->callback(
      [=] { *chosen = [=](Session& session) { return RunDelete(options->name, session); }; });
}

}  // namespace varve::cli
