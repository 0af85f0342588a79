package dev.varve.driver;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.protobuf.ByteString;
import dev.varve.v1.Dtype;
import dev.varve.v1.Filter;
import dev.varve.v1.Metadata;
import dev.varve.v1.Tensor;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;

/** A request as it was read, and its parts by name. What is missing or null has the default. */
record Request(JsonObject json) {
  /** The part of this name; null when there is none. */
  JsonElement part(String name) {
    JsonElement part = json.get(name);
    return part == null || part.isJsonNull() ? null : part;
  }

  String text(String name) {
    return part(name) == null ? "" : part(name).getAsString();
  }

  int number(String name, int missing) {
    return part(name) == null ? missing : part(name).getAsInt();
  }

  boolean flag(String name) {
    return part(name) != null && part(name).getAsBoolean();
  }

  /** A value by its name; what is left out is the first of all. */
  <T> T named(String name, Map<String, T> values) {
    return named(name, text(name), values);
  }

  private static <T> T named(String what, String name, Map<String, T> values) {
    T value = values.get(name);
    if (value == null) throw Driver.invalid("%s \"%s\" is not known", what, name);
    return value;
  }

  Filter filter() {
    return text("filter").isEmpty()
        ? Filter.getDefaultInstance()
        : Filter.newBuilder().setText(text("filter")).build();
  }

  Tensor tensor(String name) {
    if (part(name) == null) throw Driver.invalid("the request has no %s", name);
    JsonObject json = part(name).getAsJsonObject();
    Dtype dtype = named("dtype", json.get("dtype").getAsString(), Wire.DTYPES);
    byte[] data = Base64.getDecoder().decode(json.get("data").getAsString());
    Tensor.Builder tensor = Tensor.newBuilder().setDtype(dtype).setData(ByteString.copyFrom(data));
    for (JsonElement extent : json.getAsJsonArray("shape")) tensor.addShape(extent.getAsLong());
    return tensor.build();
  }

  /** The ids as numbers; none if they are texts. */
  List<Long> numbers() {
    List<Long> numbers = new ArrayList<>();
    for (String id : idList("numbers")) {
      try {
        numbers.add(Long.parseUnsignedLong(id));
      } catch (NumberFormatException e) {
        throw Driver.invalid("id \"%s\" at position %d is not an unsigned 64-bit number", id, numbers.size());
      }
    }
    return numbers;
  }

  List<String> texts() {
    return idList("texts");
  }

  private List<String> idList(String kind) {
    if (part("ids") == null) throw Driver.invalid("the request has no ids");
    JsonElement list = part("ids").getAsJsonObject().get(kind);
    List<String> ids = new ArrayList<>();
    if (list != null) list.getAsJsonArray().forEach(id -> ids.add(id.getAsString()));
    return ids;
  }

  List<Metadata> metadata() {
    List<Metadata> metadata = new ArrayList<>();
    if (part("metadata") != null) {
      part("metadata").getAsJsonArray().forEach(one -> metadata.add(Wire.metadata(one.getAsJsonObject())));
    }
    return metadata;
  }
}
