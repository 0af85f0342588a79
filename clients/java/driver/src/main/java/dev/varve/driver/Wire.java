package dev.varve.driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.NullValue;
import dev.varve.v1.Dtype;
import dev.varve.v1.Durability;
import dev.varve.v1.Id;
import dev.varve.v1.IdType;
import dev.varve.v1.Ids;
import dev.varve.v1.ListValue;
import dev.varve.v1.Metadata;
import dev.varve.v1.Metric;
import dev.varve.v1.NumberIds;
import dev.varve.v1.OnError;
import dev.varve.v1.Tensor;
import dev.varve.v1.TextIds;
import dev.varve.v1.Value;
import java.math.BigDecimal;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/** JSON to messages and back. */
final class Wire {
  static final Map<String, Metric> METRICS =
      Map.of(
          "", Metric.METRIC_UNSPECIFIED,
          "l2", Metric.METRIC_L2,
          "cosine", Metric.METRIC_COSINE,
          "dot", Metric.METRIC_DOT);
  static final Map<String, Dtype> DTYPES =
      Map.of(
          "", Dtype.DTYPE_UNSPECIFIED,
          "f32", Dtype.DTYPE_F32,
          "f16", Dtype.DTYPE_F16,
          "bf16", Dtype.DTYPE_BF16,
          "u8", Dtype.DTYPE_U8,
          "i8", Dtype.DTYPE_I8);
  static final Map<String, IdType> ID_TYPES =
      Map.of("", IdType.ID_TYPE_UNSPECIFIED, "number", IdType.ID_TYPE_NUMBER, "text", IdType.ID_TYPE_TEXT);
  static final Map<String, Durability> DURABILITIES =
      Map.of(
          "", Durability.DURABILITY_UNSPECIFIED,
          "applied", Durability.DURABILITY_APPLIED,
          "synced", Durability.DURABILITY_SYNCED);
  static final Map<String, OnError> ON_ERRORS =
      Map.of("", OnError.ON_ERROR_UNSPECIFIED, "fail", OnError.ON_ERROR_FAIL_BATCH, "skip", OnError.ON_ERROR_SKIP);

  // --- To messages ---

  static Ids numberIds(List<Long> numbers) {
    return Ids.newBuilder().setNumbers(NumberIds.newBuilder().addAllValues(numbers)).build();
  }

  static Ids textIds(List<String> texts) {
    return Ids.newBuilder().setTexts(TextIds.newBuilder().addAllValues(texts)).build();
  }

  static Metadata metadata(JsonObject json) {
    Metadata.Builder metadata = Metadata.newBuilder();
    json.entrySet().forEach(entry -> metadata.putAttributes(entry.getKey(), value(entry.getValue())));
    return metadata.build();
  }

  private static Value value(JsonElement json) {
    Value.Builder value = Value.newBuilder();
    if (json.isJsonNull()) return value.setNullValue(NullValue.NULL_VALUE).build();
    if (json.isJsonObject()) return value.setObjectValue(metadata(json.getAsJsonObject())).build();
    if (json.isJsonArray()) {
      ListValue.Builder list = ListValue.newBuilder();
      json.getAsJsonArray().forEach(element -> list.addValues(value(element)));
      return value.setListValue(list).build();
    }
    JsonPrimitive primitive = json.getAsJsonPrimitive();
    if (primitive.isString()) return value.setStringValue(primitive.getAsString()).build();
    if (primitive.isBoolean()) return value.setBoolValue(primitive.getAsBoolean()).build();
    return number(primitive.getAsString());
  }

  private static Value number(String text) {
    try {
      return Value.newBuilder().setInt64Value(Long.parseLong(text)).build();
    } catch (NumberFormatException e) { // a fraction, or too large
      return Value.newBuilder().setDoubleValue(new BigDecimal(text).doubleValue()).build();
    }
  }

  // --- From messages ---

  static JsonObject json(Ids ids) {
    JsonArray list = new JsonArray();
    if (ids.hasTexts()) {
      ids.getTexts().getValuesList().forEach(list::add);
      return ids("texts", list);
    }
    ids.getNumbers().getValuesList().forEach(number -> list.add(Long.toUnsignedString(number)));
    return ids("numbers", list);
  }

  /** Ids of one kind; none are written as numbers. */
  static JsonObject json(List<Id> ids) {
    JsonArray list = new JsonArray();
    for (Id id : ids) list.add(id.hasText() ? id.getText() : Long.toUnsignedString(id.getNumber()));
    return ids(!ids.isEmpty() && ids.get(0).hasText() ? "texts" : "numbers", list);
  }

  private static JsonObject ids(String kind, JsonArray list) {
    JsonObject json = new JsonObject();
    json.add(kind, list);
    return json;
  }

  static <T extends Number> JsonArray numbers(List<T> numbers) {
    JsonArray json = new JsonArray();
    numbers.forEach(json::add);
    return json;
  }

  static JsonObject json(Tensor tensor) {
    JsonObject json = new JsonObject();
    DTYPES.forEach(
        (name, dtype) -> {
          if (dtype == tensor.getDtype()) json.addProperty("dtype", name);
        });
    json.add("shape", numbers(tensor.getShapeList()));
    json.addProperty("data", Base64.getEncoder().encodeToString(tensor.getData().toByteArray()));
    return json;
  }

  static JsonObject json(Metadata metadata) {
    JsonObject json = new JsonObject();
    metadata.getAttributesMap().forEach((name, value) -> json.add(name, json(value)));
    return json;
  }

  private static JsonElement json(Value value) {
    return switch (value.getKindCase()) {
      case STRING_VALUE -> new JsonPrimitive(value.getStringValue());
      case INT64_VALUE -> new JsonPrimitive(value.getInt64Value());
      case DOUBLE_VALUE -> new JsonPrimitive(value.getDoubleValue());
      case BOOL_VALUE -> new JsonPrimitive(value.getBoolValue());
      case OBJECT_VALUE -> json(value.getObjectValue());
      case LIST_VALUE -> {
        JsonArray list = new JsonArray();
        value.getListValue().getValuesList().forEach(element -> list.add(json(element)));
        yield list;
      }
      case TIMESTAMP_VALUE, NULL_VALUE, KIND_NOT_SET -> JsonNull.INSTANCE; // do not occur
    };
  }

  private Wire() {}
}
