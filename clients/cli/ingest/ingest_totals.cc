#include "clients/cli/ingest/ingest_totals.h"

#include "base/str_cat.h"
#include "clients/cli/format.h"

namespace varve::cli {

std::string AlreadyCommitted(const IngestTotals& totals) {
  return StrCat(Thousands(totals.already), " of ", Thousands(totals.rows),
                " rows were already committed");
}

}  // namespace varve::cli
