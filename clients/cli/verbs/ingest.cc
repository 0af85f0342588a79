#include "clients/cli/verbs/ingest.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/format.h"
#include "clients/cli/ingest/ingest_job.h"
#include "clients/cli/ingest/ingest_report.h"
#include "clients/cli/input/id_text.h"
#include "clients/cli/progress.h"
#include "clients/cli/verbs/ingest_input.h"
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

constexpr uint32_t kStreamsMax = 256;

absl::Status CheckUsage(const IngestVerbOptions& options) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options.input));
  if (options.producer.size() > kRunNameBytesMax) {
    return UsageError(StrCat("--producer must have at most ", kRunNameBytesMax, " bytes"));
  }
  if (!options.producer.empty() && !CheckTextId(options.producer).ok()) {
    return UsageError("--producer must be UTF-8");
  }
  return absl::OkStatus();
}

std::string RandomRunName() {
  return absl::StrCat("run-", absl::Hex(std::random_device{}(), absl::kZeroPad8));
}

absl::StatusOr<Numbering> MakeNumbering(const IngestVerbOptions& options, const RecordFiles& files,
                                        const RowSizes& sizes) {
  uint64_t batch_rows = options.batch_size;
  if (batch_rows == 0) {
    batch_rows = DefaultBatchRows(sizes);
  } else if (const uint64_t most = FittingBatchRows(sizes, batch_rows); most < batch_rows) {
    return UsageError(StrCat("--batch-size ", batch_rows, " may make batches above ",
                             kBatchBytesMax >> 20, " MiB; at most ", most, " of these rows fit"));
  }
  const VectorFile& vectors = files.fields.front().vectors;
  return Numbering{
      .plan = {.rows = files.rows(), .batch_rows = batch_rows, .streams = options.streams},
      .dimension = vectors.dimension(),
      .dtype = vectors.dtype(),
      .text_ids = files.ids.type() == IdType::kText,
      .input_hash = ContentHash(vectors.bytes()),
      .ids_hash = ContentHash(files.ids.bytes()),
      .more = MoreHashes(options.input, files)};
}

absl::Status WaitIndexed(const std::string& name_space, client::Client* client, Session& session) {
  Mutex mu;
  client::IndexingProgress latest;
  ProgressDisplay display(&session.err(), session.err_is_terminal(), [&] {
    MutexLock lock(&mu);
    return StrCat("indexed ", Thousands(latest.indexed_rows), " of ", Thousands(latest.total_rows),
                  " rows", latest.remaining ? StrCat(", ", About(*latest.remaining), " left") : "");
  });
  return client->WatchIndexing(name_space, [&](const client::IndexingProgress& progress) {
    MutexLock lock(&mu);
    latest = progress;
  });
}

}  // namespace

absl::Status RunIngest(const IngestVerbOptions& options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options));
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::Namespace space, client->GetNamespace(options.name_space));
  VARVE_ASSIGN_OR_RETURN(const RecordFiles files, OpenFiles(options.input, space));
  const RowSizes sizes = files.MessageSizes();
  VARVE_ASSIGN_OR_RETURN(const Numbering numbering, MakeNumbering(options, files, sizes));

  IngestReport report{.name_space = options.name_space,
                      .producer = options.producer.empty() ? RandomRunName() : options.producer};
  report.resume_command =
      ResumeCommand(session.command_line(), options.goes_on ? std::string_view() : report.producer);
  const absl::Time start = absl::Now();
  ProgressDisplay* shown = nullptr;
  IngestJob job(client, &files,
                {.name_space = options.name_space,
                 .run = report.producer,
                 .numbering = numbering,
                 .max_batch_bytes = std::max<size_t>(
                     kBatchBytesMax, LargestBatchBytes(sizes, numbering.plan.batch_rows)),
                 .durability = options.durability == "synced" ? client::Durability::kSynced
                                                              : client::Durability::kApplied,
                 .on_error = options.on_error == "skip" ? client::OnError::kSkip
                                                        : client::OnError::kFailBatch,
                 .retry_for = absl::Seconds(options.retry_for_seconds),
                 .on_notice = [&shown](const std::string& line) { shown->Print(line); }});
  absl::Status status;
  {
    ProgressDisplay display(&session.err(), session.err_is_terminal(), [&] {
      return FormatProgress(ProgressOf(job.totals()), absl::Now() - start);
    });
    shown = &display;
    status = job.Run();
  }
  report.totals = job.totals();
  report.elapsed = absl::Now() - start;
  if (status.ok() && options.wait_indexed) {
    const absl::Time before = absl::Now();
    status = WaitIndexed(options.name_space, client, session);
    report.indexed_in = absl::Now() - before;
  }
  report.may_skip = options.on_error == "skip";
  report.complete = status.ok();
  Print(report, session);
  if (!status.ok()) session.set_resume_hint(ResumeHint(report));
  return status;
}

void AddIngest(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<IngestVerbOptions>();
  CLI::App* const verb = app.add_subcommand("ingest", "Streams a file of vectors into a namespace");
  verb->add_option("NS", options->name_space, "Name of the namespace")->required();
  AddIngestInput(verb, &options->input);
  verb->add_option("--producer", options->producer,
                   "Name of this load; again under the same name, only what is missing is sent");
  verb->add_option("--batch-size", options->batch_size, "Rows per batch (about 1 MiB of them)")
      ->check(CLI::Range(uint64_t{1}, UINT64_MAX));
  verb->add_option("--streams", options->streams, "Streams that send side by side")
      ->check(CLI::Range(1u, kStreamsMax))
      ->capture_default_str();
  verb->add_option("--durability", options->durability,
                   "What an acknowledgement promises: applied (survives a killed server) or synced "
                   "(survives power loss)")
      ->check(CLI::IsMember({"applied", "synced"}))
      ->capture_default_str();
  verb->add_option("--on-error", options->on_error, "At a bad row: fail, or skip it")
      ->check(CLI::IsMember({"fail", "skip"}))
      ->capture_default_str();
  verb->add_flag("--wait-indexed", options->wait_indexed, "Wait until all rows are indexed");
  verb->add_option("--retry-for", options->retry_for_seconds,
                   "Seconds to look for a server that went away")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  verb->callback([=] { *chosen = [=](Session& session) { return RunIngest(*options, session); }; });
}

}  // namespace varve::cli
