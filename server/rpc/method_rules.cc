#include "server/rpc/method_rules.h"

#include <algorithm>
#include <iterator>

namespace varve::server {
namespace {

constexpr bool kAudited = true;
constexpr bool kNotAudited = false;

constexpr MethodRule kRules[] = {
    {"AdminService.Compact", Scope::kAdmin, kAudited},
    {"AdminService.CreateSnapshot", Scope::kAdmin, kAudited},
    {"AdminService.DeleteSnapshot", Scope::kAdmin, kAudited},
    {"AdminService.Flush", Scope::kAdmin, kAudited},
    {"AdminService.ListSegments", Scope::kRead, kNotAudited},
    {"AdminService.ListSnapshots", Scope::kAdmin, kNotAudited},
    {"AdminService.RestoreSnapshot", Scope::kAdmin, kAudited},
    {"AdminService.Stats", Scope::kRead, kNotAudited},
    {"AdminService.VerifySnapshot", Scope::kAdmin, kAudited},
    {"AdminService.WatchIndexing", Scope::kRead, kNotAudited},
    // A deletion by filter is audited too: it asks for that itself.
    {"IngestService.Delete", Scope::kWrite, kNotAudited},
    {"IngestService.Ingest", Scope::kWrite, kNotAudited},
    {"IngestService.UpdateMetadata", Scope::kWrite, kNotAudited},
    {"IngestService.Upsert", Scope::kWrite, kNotAudited},
    {"NamespaceService.CreateNamespace", Scope::kAdmin, kAudited},
    {"NamespaceService.DeleteNamespace", Scope::kAdmin, kAudited},
    {"NamespaceService.GetNamespace", Scope::kRead, kNotAudited},
    {"NamespaceService.ListNamespaces", Scope::kRead, kNotAudited},
    {"NamespaceService.UpdateNamespace", Scope::kAdmin, kAudited},
    {"QueryService.Count", Scope::kRead, kNotAudited},
    {"QueryService.Get", Scope::kRead, kNotAudited},
    {"QueryService.Scan", Scope::kRead, kNotAudited},
    {"QueryService.Search", Scope::kRead, kNotAudited},
    {"QueryService.SearchBatch", Scope::kRead, kNotAudited},
    {"QueryService.SearchStream", Scope::kRead, kNotAudited},
};

constexpr MethodRule kFallback = {"", Scope::kAdmin, kAudited};

}  // namespace

const MethodRule* FindRule(std::string_view method) {
  const auto* found = std::find_if(std::begin(kRules), std::end(kRules),
                                   [&](const MethodRule& rule) { return rule.method == method; });
  return found == std::end(kRules) ? nullptr : found;
}

const MethodRule& RuleOf(std::string_view method) {
  const MethodRule* rule = FindRule(method);
  return rule == nullptr ? kFallback : *rule;
}

}  // namespace varve::server
