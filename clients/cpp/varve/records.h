#ifndef VARVE_CLIENTS_CPP_VARVE_RECORDS_H_
#define VARVE_CLIENTS_CPP_VARVE_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "clients/cpp/varve/tensor.h"

namespace varve::client {

// One external id: a number, or UTF-8 text of 1 to 512 bytes. A namespace holds one kind.
using Id = std::variant<uint64_t, std::string>;

// A list of external ids, all of one kind. An empty list is of either kind.
using Ids = std::variant<std::vector<uint64_t>, std::vector<std::string>>;

// A list of external ids in someone else's memory. Made implicitly from Ids' alternatives, or from
// any span of numbers or texts.
using IdsView = std::variant<absl::Span<const uint64_t>, absl::Span<const std::string>,
                             absl::Span<const std::string_view>>;

// How many ids there are.
size_t Size(const Ids& ids);
size_t Size(const IdsView& ids);

IdsView View(const Ids& ids);

// Position `i` of a list.
Id At(const Ids& ids, size_t i);

// Ids [first, first + count) of a list.
IdsView Slice(const IdsView& ids, size_t first, size_t count);

// Records to write, in someone else's memory: row i of `vectors` belongs to id i. `vectors` has
// shape [ids, dimension] and any dtype that the field takes.
struct RecordsView {
  IdsView ids;
  TensorView vectors;
};

// Records read. `vectors` has shape [ids, dimension] in the field's element type; no rows when
// vectors were not asked for.
struct Records {
  Ids ids;
  Tensor vectors;
};

// What an acknowledgement promises: the write survives a killed process (kApplied) or power loss
// (kSynced).
enum class Durability { kApplied, kSynced };

// What happens to a batch with bad rows: it is refused as a whole, or its good rows are written.
enum class OnError { kFailBatch, kSkip };

// A row that was not written, and why.
struct RowError {
  uint32_t row = 0;  // position in the batch
  std::string message;
};

}  // namespace varve::client

#endif  // VARVE_CLIENTS_CPP_VARVE_RECORDS_H_
