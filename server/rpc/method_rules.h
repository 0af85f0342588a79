#ifndef VARVE_SERVER_RPC_METHOD_RULES_H_
#define VARVE_SERVER_RPC_METHOD_RULES_H_

#include <string_view>

#include "server/rpc/api_keys.h"

namespace varve::server {

// What a call takes: the scope that its key must have, and whether it is noted in the audit log.
struct MethodRule {
  std::string_view method;  // "QueryService.Search"
  Scope scope;
  bool audited;
};

// The only table of them. A method that is not in it (a test sees to it that each is) takes what
// nobody has by chance: admin.
const MethodRule& RuleOf(std::string_view method);
// Nullptr where RuleOf falls back.
const MethodRule* FindRule(std::string_view method);

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_METHOD_RULES_H_
