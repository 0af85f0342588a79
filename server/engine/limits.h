#ifndef VARVE_SERVER_ENGINE_LIMITS_H_
#define VARVE_SERVER_ENGINE_LIMITS_H_

#include <atomic>
#include <cstdint>

namespace varve::engine {

// What namespaces may take; 0: as much as there is. Writes that would go beyond are ResourceExhausted; what
// is there already stays when a limit is lowered. May be changed at any time, by any thread.
struct EngineLimits {
  std::atomic<uint64_t> namespaces = 0;
  // Of each namespace, all its fields together: live vectors, and their bytes as they are stored.
  std::atomic<uint64_t> namespace_vectors = 0;
  std::atomic<uint64_t> namespace_bytes = 0;
};

}  // namespace varve::engine

#endif  // VARVE_SERVER_ENGINE_LIMITS_H_
