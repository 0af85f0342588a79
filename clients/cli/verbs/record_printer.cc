#include "clients/cli/verbs/record_printer.h"

#include <algorithm>

#include "clients/cli/input/time_text.h"

namespace varve::cli {
namespace {

// One vector, a list of them, or null where there is none.
Json VectorsOf(const client::FieldVectors& field, size_t i) {
  if (std::binary_search(field.missing.begin(), field.missing.end(), i)) return nullptr;
  if (field.offsets.empty()) return RowToJson(field.vectors.view(), i);
  return RowsToJson(field.vectors.view(), field.offsets[i], field.offsets[i + 1]);
}

Json RecordToJson(const client::Records& records, size_t i) {
  Json record = {{"id", ToJson(client::At(records.ids, i))}};
  if (records.vectors.rows > 0) {
    const bool missing = std::binary_search(records.missing.begin(), records.missing.end(), i);
    record["vector"] = missing ? Json() : RowToJson(records.vectors.view(), i);
  }
  for (const client::FieldVectors& field : records.fields) {
    Json vectors = VectorsOf(field, i);
    if (field.field.empty()) {
      record["vectors"] = std::move(vectors);
    } else {
      record["fields"][field.field] = std::move(vectors);
    }
  }
  if (!records.metadata.empty()) record["metadata"] = ToJson(records.metadata[i]);
  if (!records.expire_times.empty() && records.expire_times[i] != absl::InfiniteFuture()) {
    record["expire_time"] = TimeText(records.expire_times[i]);
  }
  return record;
}

}  // namespace

void RecordPrinter::Print(const client::Records& records, size_t first, size_t count) {
  for (size_t i = first; i < first + count; ++i) {
    if (session_.json) session_.out() << (any_ ? ",\n" : "{\"records\":[\n");
    session_.out() << ToText(RecordToJson(records, i));
    if (!session_.json) session_.out() << "\n";
    any_ = true;
  }
}

void RecordPrinter::Finish(const Json& rest) {
  if (!session_.json) return;
  session_.out() << (any_ ? "]" : "{\"records\":[]");
  for (const auto& [name, value] : rest.items()) {
    session_.out() << ",\n" << ToText(name) << ":" << ToText(value);
  }
  session_.out() << "}\n";
}

}  // namespace varve::cli
