#include "clients/cli/verbs/record_printer.h"

namespace varve::cli {

void RecordPrinter::Print(const client::Records& records, size_t count) {
  const TensorView vectors = records.vectors.view();
  for (size_t i = 0; i < count; ++i) {
    Json record = {{"id", ToJson(client::At(records.ids, i))}};
    if (vectors.rows > 0) record["vector"] = RowToJson(vectors, i);
    if (session_.json) session_.out() << (any_ ? ",\n" : "{\"records\":[\n");
    session_.out() << ToText(record);
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
