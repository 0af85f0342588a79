#ifndef VARVE_SERVER_RPC_CALL_ACCESS_H_
#define VARVE_SERVER_RPC_CALL_ACCESS_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/rpc/key_ring.h"
#include "server/rpc/method_rules.h"

namespace grpc {
class CallbackServerContext;
}

namespace varve::server {

// CallAccess is who makes a call, and what that one may do: the part of a call that looks at keys.
// Where the server has no keys everybody may do everything. Used by one step of a call at a time.
class CallAccess {
 public:
  // `keys` (nullptr: the server asks for none) and `rpc` outlive the work of the call.
  CallAccess(const KeyRing* keys, std::string_view method, const grpc::CallbackServerContext& rpc);

  // Whether the call's key is one that is valid now, and has the scope that the method takes.
  // Unauthenticated, PermissionDenied, and NotFound where it no longer covers the namespace. Asked
  // when a call begins, before anything of its request is looked at, and by streams with each
  // message: a key that is removed ends them.
  absl::Status Check();

  // Whether a key for some namespaces covers this one; always so for others. To the caller a
  // namespace that is not covered is one that does not exist. Notes the name.
  bool Covers(std::string_view name);
  bool CoversAll() const;
  // PermissionDenied unless covered: for a namespace that is to be made.
  absl::Status CheckMayMake(std::string_view name);

  // What the audit log will say the call was about.
  void Note(std::string_view name_space) { namespace_ = name_space; }
  // Notes this call in the audit log though calls of its method are not.
  void Audit() { audited_ = true; }
  // The call's end. Once, before gRPC is told.
  void LogEnd(const absl::Status& status) const;

 private:
  const KeyRing* const keys_;
  const std::string_view method_;
  const MethodRule& rule_;
  const grpc::CallbackServerContext& rpc_;
  absl::Status presented_;             // what is wrong with the header, if anything
  std::optional<KeyHash> hash_;        // of the key in the header
  std::shared_ptr<const ApiKey> key_;  // set by Check(), if keys_
  bool audited_;
  std::string namespace_;  // the last one asked about
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_CALL_ACCESS_H_
