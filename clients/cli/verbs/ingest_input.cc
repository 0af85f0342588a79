#include "clients/cli/verbs/ingest_input.h"

#include <CLI/CLI.hpp>
#include <set>

#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/offsets_file.h"
#include "clients/cli/input/time_text.h"
#include "clients/cli/session.h"

namespace varve::cli {
namespace {

using client::Namespace;
using client::VectorField;

absl::Status Bad(std::string_view what) {
  return absl::InvalidArgumentError(absl::string_view(what.data(), what.size()));
}

// A word NAME=FILE.
struct NamedFile {
  std::string name;
  std::string path;
};

NamedFile Split(const std::string& word) {
  const size_t sign = word.find('=');
  if (sign == word.npos) return {word, ""};
  return {word.substr(0, sign), word.substr(sign + 1)};
}

absl::Status CheckFieldNames(const IngestInput& input) {
  std::set<std::string> names = {input.field};
  for (const std::string& word : input.more) {
    const NamedFile file = Split(word);
    if (!IsVectorFileName(file.path)) {
      return UsageError(
          StrCat("--vectors must be NAME=FILE with a ", kVectorFileNames, " file, is ", word));
    }
    if (!names.insert(file.name).second) {
      return UsageError(StrCat("--vectors names field '", file.name, "' again"));
    }
  }
  return absl::OkStatus();
}

std::string FieldName(std::string_view field) {
  return field.empty() ? "default field" : StrCat("field ", field);
}

absl::StatusOr<VectorField> FindField(const Namespace& space, std::string_view name) {
  std::string names;
  for (const VectorField& field : space.fields) {
    if (field.name == name) return field;
    names += StrCat(names.empty() ? "" : ", ", field.name.empty() ? "the default one" : field.name);
  }
  return Bad(
      StrCat("namespace ", space.name, " has no ", FieldName(name), "; its fields: ", names));
}

// "namespace a", or "field b of namespace a".
std::string Place(const Namespace& space, const VectorField& field) {
  const std::string name = StrCat("namespace ", space.name);
  return field.name.empty() ? name : StrCat("field ", field.name, " of ", name);
}

// Whether the field takes these vectors.
absl::Status CheckFits(const VectorFile& vectors, const Namespace& space,
                       const VectorField& field) {
  if (vectors.dimension() != field.dimension) {
    return Bad(StrCat(vectors.path(), ": has dimension ", vectors.dimension(), ", ",
                      Place(space, field), " has ", field.dimension));
  }
  if (field.element_type != DType::kF32 && vectors.dtype() != field.element_type) {
    return Bad(StrCat(vectors.path(), ": holds ", DTypeName(vectors.dtype()), ", ",
                      Place(space, field), " stores ", DTypeName(field.element_type),
                      " and takes nothing else"));
  }
  return absl::OkStatus();
}

absl::StatusOr<FieldFile> OpenInput(const IngestInput& input, const Namespace& space) {
  VARVE_ASSIGN_OR_RETURN(const VectorField field, FindField(space, input.field));
  VARVE_ASSIGN_OR_RETURN(VectorFile vectors, VectorFile::Open(input.input, input.dimension));
  VARVE_RETURN_IF_ERROR(CheckFits(vectors, space, field));
  if (field.multi_vector && input.offsets.empty()) {
    return Bad(StrCat(Place(space, field),
                      " takes several vectors for each record: say where "
                      "each record's begin with --offsets"));
  }
  if (!field.multi_vector && !input.offsets.empty()) {
    return Bad(StrCat(Place(space, field),
                      " takes one vector for each record: --offsets are not "
                      "for it"));
  }
  FieldFile file{.field = input.field, .vectors = std::move(vectors), .offsets = {}};
  if (!input.offsets.empty()) {
    VARVE_ASSIGN_OR_RETURN(file.offsets, ReadOffsets(input.offsets, file.vectors.rows()));
  }
  return file;
}

absl::StatusOr<FieldFile> OpenMore(const std::string& word, const Namespace& space,
                                   size_t records) {
  const NamedFile named = Split(word);
  VARVE_ASSIGN_OR_RETURN(const VectorField field, FindField(space, named.name));
  std::optional<uint32_t> dimension;
  if (NeedsDimension(named.path)) dimension = field.dimension;
  VARVE_ASSIGN_OR_RETURN(VectorFile vectors, VectorFile::Open(named.path, dimension));
  VARVE_RETURN_IF_ERROR(CheckFits(vectors, space, field));
  if (field.multi_vector) {
    return Bad(StrCat(Place(space, field),
                      " takes several vectors for each record: name its file "
                      "with --input, and --offsets"));
  }
  if (vectors.rows() != records) {
    return Bad(StrCat(named.path, ": has ", vectors.rows(), " rows, wanted ", records,
                      ", one for each record"));
  }
  return FieldFile{.field = named.name, .vectors = std::move(vectors), .offsets = {}};
}

absl::StatusOr<IdColumn> OpenIds(const IngestInput& input, const Namespace& space,
                                 const FieldFile& first) {
  const size_t records = first.records();
  if (input.ids.empty()) {
    if (space.id_type == IdType::kText) {
      return Bad(StrCat("namespace ", space.name, " has text ids: name a file of them with --ids"));
    }
    return IdColumn::Counting(records);
  }
  VARVE_ASSIGN_OR_RETURN(IdColumn ids, IdColumn::Open(input.ids, space.id_type));
  if (ids.size() == records) return ids;
  return Bad(StrCat(input.ids, ": holds ", ids.size(), " ids, ",
                    input.offsets.empty() ? first.vectors.path() : input.offsets, " has ", records,
                    input.offsets.empty() ? " rows" : " records"));
}

absl::StatusOr<MetadataFile> OpenMetadata(const std::string& path, size_t records) {
  VARVE_ASSIGN_OR_RETURN(MetadataFile file, MetadataFile::Open(path));
  if (file.rows() == records) return file;
  return Bad(
      StrCat(path, ": has ", file.rows(), " lines, wanted ", records, ", one for each record"));
}

}  // namespace

void AddIngestInput(CLI::App* verb, IngestInput* input) {
  verb->add_option("--input", input->input,
                   StrCat("File of vectors: ", kVectorFileNames, " (dataset train)"))
      ->required();
  verb->add_option("--field", input->field, "Vector field that --input is of (the default one)")
      ->type_name("NAME");
  verb->add_option("--dimension", input->dimension, "Elements per vector, for .f32");
  verb->add_option("--offsets", input->offsets,
                   "Where each record's vectors begin in --input, for a field of several: a .npy "
                   "file of integers, one more than records")
      ->type_name("FILE");
  verb->add_option("--vectors", input->more,
                   "File of vectors of a further field, as many rows as records; repeatable")
      ->type_name("NAME=FILE")
      ->allow_extra_args(false);
  verb->add_option("--ids", input->ids,
                   "File of ids: .u64, .npy, or one id a line (0 to records - 1)");
  verb->add_option("--metadata", input->metadata,
                   "File of metadata: .jsonl or .jsonl.gz, one JSON object a line for each record")
      ->type_name("FILE");
  verb->add_option("--expire", input->expire,
                   "When the records expire: a time such as 2030-01-01T00:00:00Z, or +SPAN from "
                   "now such as +36h or +7d (the namespace's --ttl)")
      ->type_name("WHEN");
}

absl::Status CheckUsage(const IngestInput& input) {
  if (!IsVectorFileName(input.input)) {
    return UsageError(StrCat("--input must be a ", kVectorFileNames, " file, is ", input.input));
  }
  if (NeedsDimension(input.input) && !input.dimension) {
    return UsageError("a .f32 file needs --dimension");
  }
  if (!input.metadata.empty() && !IsMetadataFileName(input.metadata)) {
    return UsageError(StrCat("--metadata must be a .jsonl or .jsonl.gz file, is ", input.metadata));
  }
  if (!input.expire.empty()) {
    const absl::Status status = ParseWhenText(input.expire, absl::Now()).status();
    if (!status.ok()) return UsageError(StrCat("--expire ", status.message()));
  }
  return CheckFieldNames(input);
}

absl::StatusOr<RecordFiles> OpenFiles(const IngestInput& input, const Namespace& space) {
  RecordFiles files{.types = TypesOf(space)};
  VARVE_ASSIGN_OR_RETURN(FieldFile first, OpenInput(input, space));
  const size_t records = first.records();
  VARVE_ASSIGN_OR_RETURN(files.ids, OpenIds(input, space, first));
  files.fields.push_back(std::move(first));
  for (const std::string& word : input.more) {
    VARVE_ASSIGN_OR_RETURN(FieldFile file, OpenMore(word, space, records));
    files.fields.push_back(std::move(file));
  }
  if (!input.metadata.empty()) {
    VARVE_ASSIGN_OR_RETURN(files.metadata, OpenMetadata(input.metadata, records));
  }
  if (!input.expire.empty()) {
    VARVE_ASSIGN_OR_RETURN(files.expire_time, ParseWhenText(input.expire, absl::Now()));
  }
  return files;
}

std::vector<std::pair<std::string, uint64_t>> MoreHashes(const IngestInput& input,
                                                         const RecordFiles& files) {
  std::vector<std::pair<std::string, uint64_t>> more;
  const auto add = [&](const std::string& name, std::string_view content) {
    more.emplace_back(name, ContentHash(content));
  };
  if (!input.field.empty()) add("field", input.field);
  for (const FieldFile& file : files.fields) {
    if (!file.offsets.empty()) {
      add("offsets", {reinterpret_cast<const char*>(file.offsets.data()),
                      file.offsets.size() * sizeof(uint64_t)});
    }
    if (&file != &files.fields.front()) add("vectors " + file.field, file.vectors.bytes());
  }
  if (files.metadata) add("metadata", files.metadata->bytes());
  // The words, not the time: a span begins anew in every run that goes on.
  if (!input.expire.empty()) add("expire", input.expire);
  return more;
}

}  // namespace varve::cli
