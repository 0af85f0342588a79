#ifndef VARVE_SERVER_RPC_SEARCH_H_
#define VARVE_SERVER_RPC_SEARCH_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/call_control.h"
#include "server/rpc/service_context.h"
#include "varve/v1/query_service.pb.h"

namespace varve::server {

// What the calls of QueryService do once there is nothing to wait for. They block: run them on the
// read pool. NotFound, InvalidArgument, ResourceExhausted (the answer would pass the message
// limit), Cancelled, DeadlineExceeded.
absl::Status Search(const ServiceContext& context, const CallControl& control,
                    const v1::SearchRequest& request, v1::SearchResponse* response);
absl::Status SearchBatch(const ServiceContext& context, const CallControl& control,
                         const v1::SearchBatchRequest& request, v1::SearchBatchResponse* response);
absl::Status Get(const ServiceContext& context, const CallControl& control,
                 const v1::GetRequest& request, v1::GetResponse* response);
absl::Status Count(const ServiceContext& context, const CallControl& control,
                   const v1::CountRequest& request, v1::CountResponse* response);

// A wait for a commit, by looking now and then, so that it takes no thread.
class CommitWait {
 public:
  static constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

  // Gives up at the call's deadline, or after a minute when it has none.
  explicit CommitWait(const CallControl& control);

  // Whether the namespace has reached the commit. NotFound; Unavailable when the server drains;
  // DeadlineExceeded, which names both numbers, when there is no time to look again.
  absl::StatusOr<bool> Reached(const ServiceContext& context, const std::string& name,
                               uint64_t min_sequence) const;

 private:
  const absl::Time give_up_;
};

}  // namespace varve::server

#endif  // VARVE_SERVER_RPC_SEARCH_H_
