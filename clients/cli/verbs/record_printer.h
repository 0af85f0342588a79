#ifndef VARVE_CLIENTS_CLI_VERBS_RECORD_PRINTER_H_
#define VARVE_CLIENTS_CLI_VERBS_RECORD_PRINTER_H_

#include <cstddef>

#include "clients/cli/json.h"
#include "clients/cli/session.h"
#include "clients/cpp/varve/records.h"

namespace varve::cli {

// Prints records as they come: one JSON object a line; with --json these are the elements of one
// document.
class RecordPrinter {
 public:
  explicit RecordPrinter(Session* session) : session_(*session) {}

  // Records [first, first + count), with their vectors and metadata if they have them.
  void Print(const client::Records& records, size_t first, size_t count);
  // `rest`: what the document has besides records.
  void Finish(const Json& rest = Json::object());

 private:
  Session& session_;
  bool any_ = false;
};

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_RECORD_PRINTER_H_
