#ifndef VARVE_SERVER_RPC_METHOD_RULES_H_
#define VARVE_SERVER_RPC_METHOD_RULES_H_

#include <string_view>

#include "server/rpc/api_keys.h"

namespace varve::server {

// Which namespaces the key of a call must be for: the one that the call names, or all that there may
// ever be, because the call is about all of them.
enum class Reach : uint8_t { kNamed, kAll };

// What a call takes of its key, and whether it is noted in the audit log.
struct MethodRule {
  std::string_view method;  // "QueryService.Search"
  Scope scope;
  bool audited;
  Reach reach = Reach::kNamed;
};

// The only table of them. A method that is not in it (a test sees to it that each is) takes what
// nobody has by chance: admin.
const MethodRule& RuleOf(std::string_view method);
// Nullptr where RuleOf falls back.
const MethodRule* FindRule(std::string_view method);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_METHOD_RULES_H_
