#include "server/rpc/write_codec.h"

#include "base/str_cat.h"
#include "server/rpc/status_mapping.h"

namespace varve::server {

absl::StatusOr<bool> DecodeSynced(v1::Durability durability) {
  switch (durability) {
    case v1::DURABILITY_UNSPECIFIED:
    case v1::DURABILITY_APPLIED:
      return false;
    case v1::DURABILITY_SYNCED:
      return true;
    default:  // Sent by a newer client: enums of proto3 are open.
      return BadField("durability",
                      StrCat("must be APPLIED or SYNCED (1 or 2), is ", int{durability}));
  }
}

v1::Durability EncodeSynced(bool synced) {
  return synced ? v1::DURABILITY_SYNCED : v1::DURABILITY_APPLIED;
}

absl::StatusOr<engine::OnError> DecodeOnError(v1::OnError on_error) {
  switch (on_error) {
    case v1::ON_ERROR_UNSPECIFIED:
    case v1::ON_ERROR_FAIL_BATCH:
      return engine::OnError::kFailBatch;
    case v1::ON_ERROR_SKIP:
      return engine::OnError::kSkip;
    default:  // Sent by a newer client: enums of proto3 are open.
      return BadField("on_error",
                      StrCat("must be FAIL_BATCH or SKIP (1 or 2), is ", int{on_error}));
  }
}

}  // namespace varve::server
