#ifndef VARVE_CLIENTS_CPP_VARVE_RECORDS_H_
#define VARVE_CLIENTS_CPP_VARVE_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "clients/cpp/varve/metadata.h"
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

// The vectors of one field of records to write, in someone else's memory, in any dtype that the
// field takes. One vector a record: shape [ids, dimension], row i belonging to id i, and no offsets.
// Several: shape [vectors, dimension], record i having the rows offsets[i] ... offsets[i + 1] - 1,
// at least one; ids + 1 offsets, ascending from 0 to `vectors`.
struct FieldVectorsView {
  std::string_view field;  // empty: the default field
  TensorView vectors;
  absl::Span<const uint64_t> offsets;
};

// Records to write, in someone else's memory. A field that is not among them is left out: the
// records have no vector there. Records that are replaced keep nothing of what they had.
struct RecordsView {
  IdsView ids;
  // Of one field, as in FieldVectorsView.
  TensorView vectors;
  std::string_view field;
  absl::Span<const uint64_t> offsets;
  // Of further fields.
  absl::Span<const FieldVectorsView> more_fields;
  // One for each record, or none.
  absl::Span<const Metadata> metadata;
  // When the records expire: one for each, one for all, or none. absl::InfiniteFuture() is a time
  // that is not set: the namespace's default_ttl holds.
  absl::Span<const absl::Time> expire_times;
};

// The vectors of one field of records read, in its element type. Shapes and offsets as in
// FieldVectorsView; a record without a vector is named in `missing`, and has zeros in its place, or
// no rows.
struct FieldVectors {
  std::string field;
  Tensor vectors;
  std::vector<uint64_t> offsets;
  std::vector<uint32_t> missing;  // positions of records, ascending
};

// Records read: what of them was asked for.
struct Records {
  Ids ids;
  // Of the default field, if that has one vector a record: shape [ids, dimension].
  Tensor vectors;
  std::vector<uint32_t> missing;     // positions without one, ascending; zeros stand there
  std::vector<FieldVectors> fields;  // all other fields
  // One for each record, or none when metadata was not asked for.
  std::vector<Metadata> metadata;
  // With the metadata, one for each record, or none when none of them expires.
  // absl::InfiniteFuture(): that one does not.
  std::vector<absl::Time> expire_times;
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
