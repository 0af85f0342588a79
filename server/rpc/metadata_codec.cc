#include "server/rpc/metadata_codec.h"

#include <deque>
#include <utility>

#include "base/status_macros.h"
#include "base/str_cat.h"
#include "server/rpc/status_mapping.h"

namespace varve::server {
namespace {

using metadata::Filter;
using metadata::ValueView;

// How deep objects may lie in each other: as many levels as a path has bytes for.
constexpr int kObjectDepthMax = 128;

constexpr int64_t kMicrosPerSecond = 1'000'000;

// What a client may write: 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z.
constexpr int64_t kSecondsMin = -62'135'596'800, kSecondsMax = 253'402'300'799;

absl::StatusOr<int64_t> ToMicros(const google::protobuf::Timestamp& time) {
  if (time.seconds() < kSecondsMin || time.seconds() > kSecondsMax || time.nanos() < 0 ||
      time.nanos() > 999'999'999) {
    return absl::InvalidArgumentError(
        StrCat("a timestamp must be of the years 1 to 9999 with 0 to 999999999 nanos, is ",
               time.seconds(), " seconds and ", time.nanos(), " nanos"));
  }
  return time.seconds() * kMicrosPerSecond + time.nanos() / 1000;
}

// A scalar; text is the message's.
absl::StatusOr<ValueView> DecodeScalar(const v1::Value& value) {
  switch (value.kind_case()) {
    case v1::Value::kStringValue:
      return ValueView::String(value.string_value());
    case v1::Value::kInt64Value:
      return ValueView::Int64(value.int64_value());
    case v1::Value::kDoubleValue:
      return ValueView::Double(value.double_value());
    case v1::Value::kBoolValue:
      return ValueView::Bool(value.bool_value());
    case v1::Value::kTimestampValue: {
      VARVE_ASSIGN_OR_RETURN(const int64_t micros, ToMicros(value.timestamp_value()));
      return ValueView::Timestamp(micros);
    }
    case v1::Value::kNullValue:
    case v1::Value::kListValue:
    case v1::Value::kObjectValue:
    case v1::Value::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("must be a string, a number, a bool or a timestamp");
}

absl::Status Named(std::string_view path, const absl::Status& status) {
  return absl::Status(status.code(), StrCat("attribute \"", path, "\": ", status.message()));
}

// Adds the attributes of one record to an encoder, and keeps the paths that it makes up.
class AttributeCollector {
 public:
  explicit AttributeCollector(metadata::AttributeEncoder* encoder) : encoder_(*encoder) {}

  absl::Status AddObject(std::string_view prefix, const v1::Metadata& object, int depth) {
    if (depth > kObjectDepthMax) {
      return Named(prefix, absl::InvalidArgumentError(
                               StrCat("objects may be nested ", kObjectDepthMax, " deep")));
    }
    for (const auto& [name, value] : object.attributes()) {
      std::string_view path = name;
      if (!prefix.empty()) path = paths_.emplace_back(StrCat(prefix, ".", name));
      VARVE_RETURN_IF_ERROR(AddValue(path, value, depth));
    }
    return absl::OkStatus();
  }

  absl::Status AddValue(std::string_view path, const v1::Value& value, int depth) {
    if (value.has_object_value()) return AddObject(path, value.object_value(), depth + 1);
    if (value.has_null_value()) return absl::OkStatus();
    if (value.has_list_value()) {
      encoder_.BeginList(path);
      for (const v1::Value& element : value.list_value().values()) {
        const absl::StatusOr<ValueView> scalar = DecodeScalar(element);
        if (!scalar.ok()) return Named(path, scalar.status());
        encoder_.AddToList(*scalar);
      }
      return absl::OkStatus();
    }
    const absl::StatusOr<ValueView> scalar = DecodeScalar(value);
    if (!scalar.ok()) return Named(path, scalar.status());
    encoder_.Add(path, *scalar);
    return absl::OkStatus();
  }

  void Clear() { paths_.clear(); }

 private:
  metadata::AttributeEncoder& encoder_;
  std::deque<std::string> paths_;  // stay where they are
};

// One column of attributes, read record by record.
class ColumnReader {
 public:
  explicit ColumnReader(const v1::MetadataColumn& column) : column_(column) {}

  absl::Status Check(std::string_view field, size_t records) const {
    const auto& rows = column_.rows();
    if (!std::is_sorted(rows.begin(), rows.end(), std::less_equal<>()) ||
        (!rows.empty() && rows[rows.size() - 1] >= records)) {
      return BadField(StrCat(field, ".rows"),
                      StrCat("must be positions of records, ascending, below ", records));
    }
    const size_t wanted = rows.empty() ? records : rows.size();
    if (Size() == wanted) return absl::OkStatus();
    return BadField(field, StrCat("must have ", wanted, " values, has ", Size()));
  }

  // Adds the value of record `row`, if it has one. Rows in order.
  absl::Status AddTo(uint32_t row, metadata::AttributeEncoder* encoder,
                     AttributeCollector* collector) {
    if (!column_.rows().empty()) {
      const bool has_it = next_ < column_.rows_size() && column_.rows(next_) == row;
      if (!has_it) return absl::OkStatus();
    }
    const int i = next_++;
    const std::string& path = column_.path();
    switch (column_.values_case()) {
      case v1::MetadataColumn::kStrings:
        encoder->Add(path, ValueView::String(column_.strings().values(i)));
        break;
      case v1::MetadataColumn::kInt64S:
        encoder->Add(path, ValueView::Int64(column_.int64s().values(i)));
        break;
      case v1::MetadataColumn::kDoubles:
        encoder->Add(path, ValueView::Double(column_.doubles().values(i)));
        break;
      case v1::MetadataColumn::kBools:
        encoder->Add(path, ValueView::Bool(column_.bools().values(i)));
        break;
      case v1::MetadataColumn::kTimestamps:
        encoder->Add(path, ValueView::Timestamp(column_.timestamps().unix_micros(i)));
        break;
      case v1::MetadataColumn::kAny:
        return collector->AddValue(path, column_.any().values(i), 0);
      case v1::MetadataColumn::VALUES_NOT_SET:
        break;
    }
    return absl::OkStatus();
  }

 private:
  size_t Size() const {
    switch (column_.values_case()) {
      case v1::MetadataColumn::kStrings:
        return column_.strings().values_size();
      case v1::MetadataColumn::kInt64S:
        return column_.int64s().values_size();
      case v1::MetadataColumn::kDoubles:
        return column_.doubles().values_size();
      case v1::MetadataColumn::kBools:
        return column_.bools().values_size();
      case v1::MetadataColumn::kTimestamps:
        return column_.timestamps().unix_micros_size();
      case v1::MetadataColumn::kAny:
        return column_.any().values_size();
      case v1::MetadataColumn::VALUES_NOT_SET:
        break;
    }
    return 0;
  }

  const v1::MetadataColumn& column_;
  int next_ = 0;
};

// Where a patch's attributes go.
absl::Status CollectPatch(std::string_view prefix, const v1::Metadata& object, int depth,
                          metadata::MergePatch* patch) {
  if (depth > kObjectDepthMax) {
    return Named(prefix, absl::InvalidArgumentError(
                             StrCat("objects may be nested ", kObjectDepthMax, " deep")));
  }
  for (const auto& [name, value] : object.attributes()) {
    const std::string path = prefix.empty() ? name : StrCat(prefix, ".", name);
    if (value.has_object_value()) {
      VARVE_RETURN_IF_ERROR(CollectPatch(path, value.object_value(), depth + 1, patch));
      continue;
    }
    if (value.has_null_value()) {
      patch->remove.push_back(path);
      continue;
    }
    metadata::Attribute& attribute = patch->set[path];
    attribute.is_list = value.has_list_value();
    const auto add = [&](const v1::Value& one) {
      const absl::StatusOr<ValueView> scalar = DecodeScalar(one);
      if (!scalar.ok()) return Named(path, scalar.status());
      attribute.values.emplace_back(*scalar);
      return absl::OkStatus();
    };
    if (!attribute.is_list) {
      VARVE_RETURN_IF_ERROR(add(value));
      continue;
    }
    for (const v1::Value& element : value.list_value().values()) {
      VARVE_RETURN_IF_ERROR(add(element));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Filter> DecodeTree(const v1::Filter& filter, size_t depth);

absl::StatusOr<std::vector<Filter>> DecodeList(const v1::FilterList& list, size_t depth) {
  std::vector<Filter> filters;
  for (const v1::Filter& filter : list.filters()) {
    VARVE_ASSIGN_OR_RETURN(Filter decoded, DecodeTree(filter, depth));
    filters.push_back(std::move(decoded));
  }
  return filters;
}

absl::StatusOr<Filter> DecodeCondition(const v1::Condition& condition) {
  std::vector<metadata::Value> values;
  for (const v1::Value& value : condition.values()) {
    const absl::StatusOr<ValueView> scalar = DecodeScalar(value);
    if (!scalar.ok()) return Named(condition.path(), scalar.status());
    values.emplace_back(*scalar);
  }
  const auto one = [&](Filter::Op op) {
    return Filter{.op = op, .children = {}, .path = condition.path(), .values = values};
  };
  if (values.size() != 1 && (condition.operator_() == v1::OPERATOR_EQUAL ||
                             condition.operator_() == v1::OPERATOR_NOT_EQUAL ||
                             condition.operator_() == v1::OPERATOR_HAS)) {
    return absl::InvalidArgumentError(StrCat("the condition on \"", condition.path(),
                                             "\" must have one value, has ", values.size()));
  }
  switch (condition.operator_()) {
    case v1::OPERATOR_EQUAL:
    case v1::OPERATOR_HAS:
    case v1::OPERATOR_IN:
      return one(Filter::Op::kIn);
    case v1::OPERATOR_NOT_EQUAL:
      return Filter::Not(one(Filter::Op::kIn));
    case v1::OPERATOR_LESS:
      return one(Filter::Op::kLess);
    case v1::OPERATOR_LESS_OR_EQUAL:
      return one(Filter::Op::kLessEqual);
    case v1::OPERATOR_GREATER:
      return one(Filter::Op::kGreater);
    case v1::OPERATOR_GREATER_OR_EQUAL:
      return one(Filter::Op::kGreaterEqual);
    case v1::OPERATOR_PREFIX:
      return one(Filter::Op::kPrefix);
    case v1::OPERATOR_EXISTS:
      return one(Filter::Op::kExists);
    default:  // Not set, or sent by a newer client: enums of proto3 are open.
      return absl::InvalidArgumentError(StrCat("the condition on \"", condition.path(),
                                               "\": operator must be 1 to 10, is ",
                                               int{condition.operator_()}));
  }
}

absl::StatusOr<Filter> DecodeTree(const v1::Filter& filter, size_t depth) {
  if (depth > metadata::kFilterDepthMax) {
    return absl::InvalidArgumentError(
        StrCat("conditions may be nested ", metadata::kFilterDepthMax, " deep"));
  }
  switch (filter.kind_case()) {
    case v1::Filter::kText:
      return metadata::ParseFilter(filter.text());
    case v1::Filter::kAllOf: {
      VARVE_ASSIGN_OR_RETURN(auto children, DecodeList(filter.all_of(), depth + 1));
      return Filter::And(std::move(children));
    }
    case v1::Filter::kAnyOf: {
      VARVE_ASSIGN_OR_RETURN(auto children, DecodeList(filter.any_of(), depth + 1));
      return Filter::Or(std::move(children));
    }
    case v1::Filter::kNegation: {
      VARVE_ASSIGN_OR_RETURN(Filter child, DecodeTree(filter.negation(), depth + 1));
      return Filter::Not(std::move(child));
    }
    case v1::Filter::kCondition:
      return DecodeCondition(filter.condition());
    case v1::Filter::KIND_NOT_SET:
      break;
  }
  return Filter::And({});
}

}  // namespace

absl::Status DecodedMetadata::Decode(const v1::RecordBatch& batch, size_t records) {
  if (batch.metadata_size() == 0 && batch.metadata_columns_size() == 0) return absl::OkStatus();
  if (batch.metadata_size() != 0 && batch.metadata_size() != records) {
    return BadField("records.metadata", StrCat("must be one for each of the ", records,
                                               " records, or none, are ", batch.metadata_size()));
  }
  std::vector<ColumnReader> columns;
  for (int i = 0; i < batch.metadata_columns_size(); ++i) {
    columns.emplace_back(batch.metadata_columns(i));
    VARVE_RETURN_IF_ERROR(
        columns.back().Check(StrCat("records.metadata_columns[", i, "]"), records));
  }
  metadata::AttributeEncoder encoder;
  AttributeCollector collector(&encoder);
  std::vector<size_t> ends;
  for (uint32_t row = 0; row < records; ++row) {
    absl::Status status;
    if (batch.metadata_size() > 0) status = collector.AddObject("", batch.metadata(row), 0);
    for (ColumnReader& column : columns) {
      status.Update(column.AddTo(row, &encoder, &collector));
    }
    status.Update(encoder.Encode(&bytes_));
    if (!status.ok()) faults_.push_back({row, StrCat(status.message())});
    collector.Clear();
    ends.push_back(bytes_.size());
  }
  attributes_.reserve(records);
  for (size_t row = 0, begin = 0; row < records; begin = ends[row++]) {
    attributes_.push_back(std::string_view(bytes_).substr(begin, ends[row] - begin));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> DecodeTimestamp(const google::protobuf::Timestamp& time,
                                        std::string_view field) {
  const absl::StatusOr<int64_t> micros = ToMicros(time);
  return micros.ok() ? micros : BadField(field, StrCat(micros.status().message()));
}

void EncodeTimestamp(int64_t micros, google::protobuf::Timestamp* out) {
  int64_t seconds = micros / kMicrosPerSecond, left = micros % kMicrosPerSecond;
  if (left < 0) left += kMicrosPerSecond, --seconds;
  out->set_seconds(seconds);
  out->set_nanos(static_cast<int32_t>(left * 1000));
}

void EncodeValue(const ValueView& value, v1::Value* out) {
  switch (value.type) {
    case metadata::ValueType::kBool:
      return out->set_bool_value(value.integer != 0);
    case metadata::ValueType::kInt64:
      return out->set_int64_value(value.integer);
    case metadata::ValueType::kDouble:
      return out->set_double_value(value.real);
    case metadata::ValueType::kTimestamp:
      return EncodeTimestamp(value.integer, out->mutable_timestamp_value());
    case metadata::ValueType::kString:
      return out->set_string_value(std::string(value.text));
  }
}

absl::Status EncodeMetadata(std::string_view encoded, v1::Metadata* out) {
  metadata::AttributeReader reader(encoded);
  metadata::AttributeView attribute;
  while (reader.Next(&attribute)) {
    v1::Metadata* object = out;
    std::string_view name = attribute.path();
    for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.')) {
      v1::Value& inner = (*object->mutable_attributes())[std::string(name.substr(0, dot))];
      object = inner.mutable_object_value();
      name.remove_prefix(dot + 1);
    }
    v1::Value* const value = &(*object->mutable_attributes())[std::string(name)];
    v1::ListValue* const list = attribute.is_list() ? value->mutable_list_value() : nullptr;
    attribute.ForEach([&](const ValueView& one) {
      EncodeValue(one, list == nullptr ? value : list->add_values());
      return true;
    });
  }
  if (!reader.damaged()) return absl::OkStatus();
  return absl::DataLossError(
      StrCat("stored metadata of ", encoded.size(), " bytes does not decode"));
}

absl::StatusOr<metadata::MergePatch> DecodePatch(const v1::Metadata& patch,
                                                 std::string_view field) {
  metadata::MergePatch decoded;
  if (absl::Status status = CollectPatch("", patch, 0, &decoded); !status.ok()) {
    return BadField(field, StrCat(status.message()));
  }
  return decoded;
}

absl::StatusOr<std::optional<Filter>> DecodeFilter(const v1::Filter& filter,
                                                   std::string_view field) {
  if (filter.kind_case() == v1::Filter::KIND_NOT_SET) return std::nullopt;
  absl::StatusOr<Filter> decoded = DecodeTree(filter, 0);
  absl::Status status = decoded.status();
  if (status.ok()) status = metadata::ValidateFilter(*decoded);
  if (!status.ok()) return BadField(field, StrCat(status.message()));
  return *std::move(decoded);
}

}  // namespace varve::server
