#include "metadata/attributes.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "base/endian.h"
#include "base/status_macros.h"
#include "base/str_cat.h"
#include "base/utf8.h"

namespace varve::metadata {
namespace {

constexpr char kListKind = 0;
constexpr int kVarintBytesMax = 5;  // nothing here is longer than 32 bits can say

void AppendVarint(size_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) out->push_back(static_cast<char>(value | 0x80));
  out->push_back(static_cast<char>(value));
}

// Null where the bytes end before the number does.
const char* ParseVarint(const char* at, const char* end, size_t* value) {
  *value = 0;
  for (int i = 0; i < kVarintBytesMax && at < end; ++i) {
    const auto byte = static_cast<uint8_t>(*at++);
    *value |= size_t{byte & 0x7fu} << (7 * i);
    if (byte < 0x80) return at;
  }
  return nullptr;
}

const char* ParseBytes(const char* at, const char* end, std::string_view* bytes) {
  size_t size = 0;
  at = ParseVarint(at, end, &size);
  if (at == nullptr || size > static_cast<size_t>(end - at)) return nullptr;
  *bytes = {at, size};
  return at + size;
}

void AppendPayload(const ValueView& value, std::string* out) {
  const auto append_eight = [&](const auto& number) {
    static_assert(sizeof(number) == 8);
    out->append(reinterpret_cast<const char*>(&number), 8);
  };
  switch (value.type) {
    case ValueType::kBool:
      return out->push_back(value.integer != 0 ? 1 : 0);
    case ValueType::kInt64:
    case ValueType::kTimestamp:
      return append_eight(value.integer);
    case ValueType::kDouble:
      return append_eight(value.real);
    case ValueType::kString:
      AppendVarint(value.text.size(), out);
      out->append(value.text);
  }
}

absl::Status Bad(std::string_view path, std::string_view what) {
  return absl::InvalidArgumentError(StrCat("attribute \"", path, "\": ", what));
}

absl::Status CheckValue(std::string_view path, const ValueView& value) {
  if (value.type == ValueType::kDouble && !std::isfinite(value.real)) {
    return Bad(path, "a double must be finite");
  }
  if (value.type == ValueType::kTimestamp &&
      (value.integer < kTimestampMin || value.integer > kTimestampMax)) {
    return Bad(path, StrCat("a timestamp must be of the years 1 to 9999, is ", value.integer,
                            " microseconds from 1970"));
  }
  if (value.type == ValueType::kString && !IsUtf8(value.text)) {
    return Bad(path, "text must be UTF-8");
  }
  return absl::OkStatus();
}

bool IsBelow(std::string_view path, std::string_view object) {
  return path.size() > object.size() && path[object.size()] == '.' &&
         path.substr(0, object.size()) == object;
}

// Removes `path`, and all attributes below it.
void Remove(const std::string& path, AttributeMap* attributes) {
  attributes->erase(path);
  const std::string below = path + ".";
  auto it = attributes->lower_bound(below);
  while (it != attributes->end() && IsBelow(it->first, path)) it = attributes->erase(it);
}

// Removes what is a value where `path` needs an object.
void RemoveAbove(std::string_view path, AttributeMap* attributes) {
  for (size_t dot = path.find('.'); dot != path.npos; dot = path.find('.', dot + 1)) {
    if (const auto it = attributes->find(path.substr(0, dot)); it != attributes->end()) {
      attributes->erase(it);
    }
  }
}

}  // namespace

bool IsPathOrBelow(std::string_view path, std::string_view object) {
  return path == object || IsBelow(path, object);
}

absl::Status CheckPath(std::string_view path) {
  if (path.size() > kPathBytesMax) {
    return Bad(path.substr(0, 32),
               StrCat("a path must be at most ", kPathBytesMax, " bytes, is ", path.size()));
  }
  if (path.empty() || path.front() == '.' || path.back() == '.' || path.find("..") != path.npos) {
    return Bad(path, "a path must be names of one character and more, with a dot between two");
  }
  if (!IsUtf8(path)) return Bad(path, "a path must be UTF-8");
  return absl::OkStatus();
}

absl::StatusOr<std::string> EncodeAttributes(const AttributeMap& attributes) {
  AttributeEncoder encoder;
  for (const auto& [path, attribute] : attributes) {
    if (!attribute.is_list) {
      if (attribute.values.size() != 1) {
        return Bad(path, StrCat("must have one value or be a list, has ", attribute.values.size()));
      }
      encoder.Add(path, attribute.values.front().view());
      continue;
    }
    encoder.BeginList(path);
    for (const Value& value : attribute.values) encoder.AddToList(value.view());
  }
  std::string encoded;
  VARVE_RETURN_IF_ERROR(encoder.Encode(&encoded));
  return encoded;
}

void AttributeEncoder::Add(std::string_view path, const ValueView& value) {
  entries_.push_back({.path = path, .begin = values_.size(), .end = values_.size()});
  Take(value);
}

void AttributeEncoder::BeginList(std::string_view path) {
  entries_.push_back(
      {.path = path, .is_list = true, .begin = values_.size(), .end = values_.size()});
}

void AttributeEncoder::Take(const ValueView& value) {
  values_.push_back(value);
  entries_.back().end = values_.size();
}

absl::Status AttributeEncoder::CheckPaths() const {
  const auto is_there = [&](std::string_view path) {
    const auto found =
        std::lower_bound(entries_.begin(), entries_.end(), path,
                         [](const Entry& entry, std::string_view p) { return entry.path < p; });
    return found != entries_.end() && found->path == path;
  };
  for (size_t i = 0; i < entries_.size(); ++i) {
    const std::string_view path = entries_[i].path;
    VARVE_RETURN_IF_ERROR(CheckPath(path));
    if (i > 0 && entries_[i - 1].path == path) return Bad(path, "is there twice");
    for (size_t dot = path.find('.'); dot != path.npos; dot = path.find('.', dot + 1)) {
      if (!is_there(path.substr(0, dot))) continue;
      return Bad(path.substr(0, dot),
                 StrCat("is a value, and an object with \"", path, "\" in it"));
    }
  }
  return absl::OkStatus();
}

absl::Status AttributeEncoder::Append(const Entry& entry, std::string* out) const {
  AppendVarint(entry.path.size(), out);
  out->append(entry.path);
  if (entry.is_list) {
    out->push_back(kListKind);
    AppendVarint(entry.end - entry.begin, out);
  }
  for (size_t i = entry.begin; i < entry.end; ++i) {
    VARVE_RETURN_IF_ERROR(CheckValue(entry.path, values_[i]));
    out->push_back(static_cast<char>(values_[i].type));
    AppendPayload(values_[i], out);
  }
  return absl::OkStatus();
}

absl::Status AttributeEncoder::Encode(std::string* out) {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.path < b.path; });
  absl::Status status;
  if (entries_.size() > kAttributesMax) {
    status = absl::InvalidArgumentError(StrCat("metadata must have at most ", kAttributesMax,
                                               " attributes, has ", entries_.size()));
  }
  if (status.ok()) status = CheckPaths();
  const size_t begin = out->size();
  for (size_t i = 0; i < entries_.size() && status.ok(); ++i) {
    status = Append(entries_[i], out);
    if (status.ok() && out->size() - begin > kAttributesBytesMax) {
      status = absl::InvalidArgumentError(StrCat("metadata must be at most ", kAttributesBytesMax,
                                                 " bytes, attribute \"", entries_[i].path,
                                                 "\" brings it to ", out->size() - begin));
    }
  }
  if (!status.ok()) out->resize(begin);
  entries_.clear(), values_.clear();
  return status;
}

absl::StatusOr<AttributeMap> DecodeAttributes(std::string_view encoded) {
  AttributeMap attributes;
  AttributeReader reader(encoded);
  AttributeView view;
  bool whole = true;
  while (reader.Next(&view)) {
    Attribute attribute{.is_list = view.is_list()};
    whole &= view.ForEach([&](const ValueView& value) {
      attribute.values.emplace_back(value);
      return true;
    });
    attributes.emplace(view.path(), std::move(attribute));
  }
  if (!whole || reader.damaged()) {
    return absl::DataLossError(
        StrCat("stored metadata of ", encoded.size(), " bytes does not decode"));
  }
  return attributes;
}

std::string SelectAttributes(std::string_view encoded, const std::vector<std::string>& paths) {
  std::string selected;
  AttributeReader reader(encoded);
  AttributeView attribute;
  while (reader.Next(&attribute)) {
    const bool wanted = std::any_of(paths.begin(), paths.end(), [&](const std::string& path) {
      return IsPathOrBelow(attribute.path(), path);
    });
    if (wanted) selected.append(attribute.bytes());
  }
  return selected;
}

const char* AttributeView::ParseValue(const char* at, const char* end, ValueView* value) {
  if (at == end) return nullptr;
  value->type = static_cast<ValueType>(*at++);
  switch (value->type) {
    case ValueType::kBool:
      if (at == end) return nullptr;
      value->integer = *at != 0 ? 1 : 0;
      return at + 1;
    case ValueType::kInt64:
    case ValueType::kTimestamp:
      if (end - at < 8) return nullptr;
      std::memcpy(&value->integer, at, 8);
      return at + 8;
    case ValueType::kDouble:
      if (end - at < 8) return nullptr;
      std::memcpy(&value->real, at, 8);
      return at + 8;
    case ValueType::kString:
      return ParseBytes(at, end, &value->text);
  }
  return nullptr;
}

bool AttributeReader::Next(AttributeView* attribute) {
  if (at_ == end_) return false;
  damaged_ = true;  // until the end is found
  const char* at = ParseBytes(at_, end_, &attribute->path_);
  if (at == nullptr || at == end_) return false;
  attribute->is_list_ = *at == kListKind;
  attribute->size_ = 1;
  if (attribute->is_list_) {
    at = ParseVarint(at + 1, end_, &attribute->size_);
    if (at == nullptr) return false;
  }
  attribute->begin_ = at;
  ValueView skipped;
  for (size_t i = 0; i < attribute->size_; ++i) {
    at = AttributeView::ParseValue(at, end_, &skipped);
    if (at == nullptr) return false;
  }
  attribute->end_ = at;
  attribute->bytes_ = {at_, static_cast<size_t>(at - at_)};
  at_ = at;
  damaged_ = false;
  return true;
}

absl::StatusOr<std::string> ApplyPatch(std::string_view encoded, const MergePatch& patch) {
  VARVE_RETURN_IF_ERROR(EncodeAttributes(patch.set).status());
  VARVE_ASSIGN_OR_RETURN(AttributeMap attributes, DecodeAttributes(encoded));
  for (const std::string& path : patch.remove) {
    VARVE_RETURN_IF_ERROR(CheckPath(path));
    Remove(path, &attributes);
  }
  for (const auto& [path, attribute] : patch.set) {
    Remove(path, &attributes);
    RemoveAbove(path, &attributes);
  }
  for (const auto& [path, attribute] : patch.set) attributes.insert_or_assign(path, attribute);
  return EncodeAttributes(attributes);
}

}  // namespace varve::metadata
