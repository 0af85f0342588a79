#ifndef VARVE_CLIENTS_CLI_VERBS_VERBS_H_
#define VARVE_CLIENTS_CLI_VERBS_VERBS_H_

#include "clients/cli/session.h"

namespace CLI {
class App;
}  // namespace CLI

namespace varve::cli {

// Each adds one verb to the command line; when that verb is parsed, `chosen` is set to what it
// does.
void AddBuildIndex(CLI::App& app, Action* chosen);
void AddCompact(CLI::App& app, Action* chosen);
void AddConvert(CLI::App& app, Action* chosen);
void AddCount(CLI::App& app, Action* chosen);
void AddDelete(CLI::App& app, Action* chosen);
void AddFlush(CLI::App& app, Action* chosen);
void AddGet(CLI::App& app, Action* chosen);
void AddInfo(CLI::App& app, Action* chosen);
void AddIngest(CLI::App& app, Action* chosen);
void AddNamespace(CLI::App& app, Action* chosen);
void AddQuery(CLI::App& app, Action* chosen);
void AddScan(CLI::App& app, Action* chosen);
void AddSearch(CLI::App& app, Action* chosen);
void AddSegments(CLI::App& app, Action* chosen);
void AddSnapshot(CLI::App& app, Action* chosen);
void AddStats(CLI::App& app, Action* chosen);
void AddUpdate(CLI::App& app, Action* chosen);

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_VERBS_VERBS_H_
