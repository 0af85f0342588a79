#include "clients/cli/input/offsets_file.h"

#include <algorithm>
#include <functional>

#include "absl/status/status.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "clients/cli/input/npy.h"

namespace varve::cli {
namespace {

absl::Status Bad(const std::string& path, std::string_view what) {
  return absl::InvalidArgumentError(StrCat(path, ": ", what));
}

}  // namespace

absl::StatusOr<std::vector<uint64_t>> ReadOffsets(const std::string& path, uint64_t vectors) {
  if (!path.ends_with(".npy")) return Bad(path, "wanted a .npy file of offsets");
  VARVE_ASSIGN_OR_RETURN(const NpyArray array, OpenNpy(path));
  VARVE_ASSIGN_OR_RETURN(std::vector<uint64_t> offsets, NpyNumbers(array, "offsets"));
  if (offsets.empty() || offsets.front() != 0 || offsets.back() != vectors) {
    return Bad(path, offsets.empty()
                         ? std::string("holds no offsets, wanted one more than records")
                         : StrCat("holds offsets from ", offsets.front(), " to ", offsets.back(),
                                  ", wanted 0 to ", vectors, ", the vectors"));
  }
  const auto flat = std::adjacent_find(offsets.begin(), offsets.end(), std::greater_equal<>());
  if (flat == offsets.end()) return offsets;
  return Bad(path, StrCat("record ", flat - offsets.begin(), " begins at ", *flat, " and ends at ",
                          *(flat + 1), ", wanted at least one vector"));
}

}  // namespace varve::cli
