package dev.varve.driver;

import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/** The conformance driver of the Java client: tests/conformance/README.md says what it speaks. */
public final class Driver {
  public static void main(String[] arguments) throws IOException, InterruptedException {
    var requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    var replies = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    try (Operations operations = new Operations()) {
      for (String line = requests.readLine(); line != null; line = requests.readLine()) {
        replies.println(answer(operations, JsonParser.parseString(line).getAsJsonObject()));
      }
    }
  }

  private static JsonObject answer(Operations operations, JsonObject request) throws InterruptedException {
    JsonObject reply = new JsonObject();
    try {
      reply.add("ok", operations.run(new Request(request)));
    } catch (StatusRuntimeException e) {
      reply.add("error", error(e.getStatus()));
    }
    return reply;
  }

  private static JsonObject error(Status status) {
    JsonObject error = new JsonObject();
    error.addProperty("code", status.getCode().name());
    // gRPC tells that a connection failed in the description, and why in the cause.
    String cause = status.getCause() == null ? "" : ": " + status.getCause().getMessage();
    error.addProperty("message", (status.getDescription() == null ? "" : status.getDescription()) + cause);
    return error;
  }

  static StatusRuntimeException invalid(String format, Object... values) {
    return Status.INVALID_ARGUMENT.withDescription(String.format(format, values)).asRuntimeException();
  }

  private Driver() {}
}
