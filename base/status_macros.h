#ifndef VARVE_BASE_STATUS_MACROS_H_
#define VARVE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"

// Returns from the enclosing function when `expr`, an absl::Status, is not OK.
#define VARVE_RETURN_IF_ERROR(expr)                                 \
  do {                                                              \
    if (::absl::Status varve_status = (expr); !varve_status.ok()) { \
      return varve_status;                                          \
    }                                                               \
  } while (false)

// Evaluates `expr`, an absl::StatusOr, and assigns its value to `lhs`, or returns its status.
#define VARVE_ASSIGN_OR_RETURN(lhs, expr) \
  VARVE_ASSIGN_OR_RETURN_IMPL(VARVE_STATUS_CONCAT(varve_status_or_, __LINE__), lhs, expr)

#define VARVE_STATUS_CONCAT_IMPL(a, b) a##b
#define VARVE_STATUS_CONCAT(a, b) VARVE_STATUS_CONCAT_IMPL(a, b)
#define VARVE_ASSIGN_OR_RETURN_IMPL(result, lhs, expr) \
  auto result = (expr);                                \
  if (!result.ok()) return std::move(result).status(); \
  lhs = *std::move(result)

#endif  // VARVE_BASE_STATUS_MACROS_H_
