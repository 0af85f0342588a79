#ifndef VARVE_CLIENTS_CLI_INGEST_FINGERPRINT_H_
#define VARVE_CLIENTS_CLI_INGEST_FINGERPRINT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/tensor.h"
#include "clients/cli/ingest/batch_plan.h"

namespace varve::cli {

// A 64-bit FNV-1a hash: the same everywhere and for ever, against accidents, not against malice.
class Hash {
 public:
  Hash& Add(std::string_view bytes);
  Hash& Add(uint64_t number);
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

// Hash of a file's content: of all of it up to 16 MiB, beyond that of its size and of 16 MiB in
// samples spread evenly over it, the first and the last bytes among them.
uint64_t ContentHash(std::string_view bytes);

// All that decides which records a batch number stands for.
struct Numbering {
  BatchPlan plan;
  size_t dimension = 0;
  DType dtype = DType::kF32;
  bool text_ids = false;
  uint64_t input_hash = 0;
  uint64_t ids_hash = 0;
  // What records have besides, each with a hash of it: "metadata", "field" ... Without any, the
  // name is the one it was before there were any.
  std::vector<std::pair<std::string, uint64_t>> more;
};

// The name under which the server remembers one stream: the user's name for the run and a
// fingerprint of the numbering. Another file or batch size under the same name is so another
// sequence of batches, none of which is taken for one that was committed.
std::string ProducerOf(std::string_view run, const Numbering& numbering, uint32_t stream);

// Longest name of a run.
inline constexpr size_t kRunNameBytesMax = 200;

}  // namespace varve::cli

#endif  // VARVE_CLIENTS_CLI_INGEST_FINGERPRINT_H_
