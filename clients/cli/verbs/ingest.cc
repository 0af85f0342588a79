#include <CLI/CLI.hpp>
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
#include "clients/cli/verbs/verbs.h"

namespace varve::cli {
namespace {

constexpr uint32_t kStreamsMax = 256;

struct IngestVerbOptions {
  std::string name_space;
  std::string input;
  std::optional<uint32_t> dimension;
  std::string ids;
  std::string producer;
  uint64_t batch_size = 0;  // 0: chosen
  uint32_t streams = 1;
  std::string durability = "applied";
  std::string on_error = "fail";
  bool wait_indexed = false;
  double retry_for_seconds = 30;
};

absl::Status CheckUsage(const IngestVerbOptions& options) {
  if (!IsVectorFileName(options.input)) {
    return UsageError(
        StrCat("--input must be a .npy, .f32, .fvecs or .bvecs file, is ", options.input));
  }
  if (NeedsDimension(options.input) && !options.dimension) {
    return UsageError("a .f32 file needs --dimension");
  }
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

// Whether the namespace takes these vectors.
absl::Status CheckFits(const VectorFile& vectors, const client::Namespace& space) {
  const client::VectorField& field = space.fields.front();
  if (vectors.dimension() != field.dimension) {
    return absl::InvalidArgumentError(StrCat(vectors.path(), ": has dimension ",
                                             vectors.dimension(), ", namespace ", space.name,
                                             " has ", field.dimension));
  }
  if (field.element_type != DType::kF32 && vectors.dtype() != field.element_type) {
    return absl::InvalidArgumentError(
        StrCat(vectors.path(), ": holds ", DTypeName(vectors.dtype()), ", namespace ", space.name,
               " stores ", DTypeName(field.element_type), " and takes nothing else"));
  }
  return absl::OkStatus();
}

absl::StatusOr<IdColumn> OpenIds(const IngestVerbOptions& options, const VectorFile& vectors,
                                 const client::Namespace& space) {
  if (options.ids.empty()) {
    if (space.id_type == IdType::kText) {
      return absl::InvalidArgumentError(
          StrCat("namespace ", space.name, " has text ids: name a file of them with --ids"));
    }
    return IdColumn::Counting(vectors.rows());
  }
  VARVE_ASSIGN_OR_RETURN(IdColumn ids, IdColumn::Open(options.ids, space.id_type));
  if (ids.size() != vectors.rows()) {
    return absl::InvalidArgumentError(StrCat(options.ids, ": holds ", ids.size(), " ids, ",
                                             vectors.path(), " has ", vectors.rows(), " rows"));
  }
  return ids;
}

absl::StatusOr<Numbering> MakeNumbering(const IngestVerbOptions& options, const VectorFile& vectors,
                                        const IdColumn& ids) {
  const uint64_t most = LargestBatchRows(vectors.row_bytes(), ids.longest_bytes());
  if (options.batch_size > most) {
    return UsageError(StrCat("--batch-size ", options.batch_size, " may make batches above ",
                             kBatchBytesMax >> 20, " MiB; at most ", most, " of these rows fit"));
  }
  const uint64_t batch_rows = options.batch_size > 0
                                  ? options.batch_size
                                  : DefaultBatchRows(vectors.row_bytes(), ids.longest_bytes());
  return Numbering{
      .plan = {.rows = vectors.rows(), .batch_rows = batch_rows, .streams = options.streams},
      .dimension = vectors.dimension(),
      .dtype = vectors.dtype(),
      .text_ids = ids.type() == IdType::kText,
      .input_hash = ContentHash(vectors.bytes()),
      .ids_hash = ContentHash(ids.bytes())};
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

absl::Status RunIngest(const IngestVerbOptions& options, Session& session) {
  VARVE_RETURN_IF_ERROR(CheckUsage(options));
  VARVE_ASSIGN_OR_RETURN(const VectorFile vectors,
                         VectorFile::Open(options.input, options.dimension));
  VARVE_ASSIGN_OR_RETURN(client::Client* const client, session.client());
  VARVE_ASSIGN_OR_RETURN(const client::Namespace space, client->GetNamespace(options.name_space));
  VARVE_RETURN_IF_ERROR(CheckFits(vectors, space));
  VARVE_ASSIGN_OR_RETURN(const IdColumn ids, OpenIds(options, vectors, space));
  VARVE_ASSIGN_OR_RETURN(const Numbering numbering, MakeNumbering(options, vectors, ids));

  IngestReport report{.name_space = options.name_space,
                      .producer = options.producer.empty() ? RandomRunName() : options.producer};
  report.resume_command = ResumeCommand(session.command_line(), report.producer);
  const absl::Time start = absl::Now();
  ProgressDisplay* shown = nullptr;
  IngestJob job(client, &vectors, &ids,
                {.name_space = options.name_space,
                 .run = report.producer,
                 .numbering = numbering,
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

}  // namespace

void AddIngest(CLI::App& app, Action* chosen) {
  const auto options = std::make_shared<IngestVerbOptions>();
  CLI::App* const verb = app.add_subcommand("ingest", "Streams a file of vectors into a namespace");
  verb->add_option("NS", options->name_space, "Name of the namespace")->required();
  verb->add_option("--input", options->input, "File of vectors: .npy, .f32, .fvecs or .bvecs")
      ->required();
  verb->add_option("--dimension", options->dimension, "Elements per vector, for .f32");
  verb->add_option("--ids", options->ids,
                   "File of ids: .u64, .npy, or one id a line (0 to rows - 1)");
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
