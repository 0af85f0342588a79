#include "clients/cpp/varve/namespace.h"

namespace varve::client {

std::string_view MetricName(Metric metric) {
  switch (metric) {
    case Metric::kL2:
      return "l2";
    case Metric::kCosine:
      return "cosine";
    case Metric::kDot:
      return "dot";
  }
  return "unknown";
}

std::string_view IdTypeName(IdType type) {
  switch (type) {
    case IdType::kUndecided:
      return "undecided";
    case IdType::kNumber:
      return "number";
    case IdType::kText:
      return "text";
  }
  return "unknown";
}

std::string_view AttributeTypeName(AttributeType type) {
  switch (type) {
    case AttributeType::kBool:
      return "bool";
    case AttributeType::kInt64:
      return "int64";
    case AttributeType::kDouble:
      return "double";
    case AttributeType::kTimestamp:
      return "timestamp";
    case AttributeType::kString:
      return "string";
  }
  return "unknown";
}

std::string_view QuantizationName(Quantization quantization) {
  return quantization == Quantization::kNone ? "none" : "int8";
}

}  // namespace varve::client
