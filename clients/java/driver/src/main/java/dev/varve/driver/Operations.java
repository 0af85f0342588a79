package dev.varve.driver;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import dev.varve.IngestOptions;
import dev.varve.IngestWriter;
import dev.varve.Varve;
import dev.varve.v1.CountRequest;
import dev.varve.v1.CreateNamespaceRequest;
import dev.varve.v1.DeleteNamespaceRequest;
import dev.varve.v1.Hit;
import dev.varve.v1.IngestAck;
import dev.varve.v1.Namespace;
import dev.varve.v1.NamespaceServiceGrpc;
import dev.varve.v1.NamespaceServiceGrpc.NamespaceServiceBlockingStub;
import dev.varve.v1.QueryServiceGrpc;
import dev.varve.v1.QueryServiceGrpc.QueryServiceBlockingStub;
import dev.varve.v1.RowError;
import dev.varve.v1.SearchBatchRequest;
import dev.varve.v1.SearchOptions;
import dev.varve.v1.SearchRequest;
import dev.varve.v1.VectorField;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeUnit;

/** What the driver can do, over one channel. */
final class Operations implements AutoCloseable {
  private ManagedChannel channel;

  JsonObject run(Request request) throws InterruptedException {
    String op = request.text("op");
    if (channel == null && !op.equals("connect")) {
      throw Status.FAILED_PRECONDITION.withDescription(op + " before connect").asRuntimeException();
    }
    return switch (op) {
      case "connect" -> connect(request);
      case "create_namespace" -> createNamespace(request);
      case "delete_namespace" -> deleteNamespace(request);
      case "ingest" -> ingest(request, 1);
      case "ingest_many" -> ingest(request, request.number("repeat", 1));
      case "search" -> search(request);
      case "search_batch" -> searchBatch(request);
      case "count" -> count(request);
      default ->
          throw Status.UNIMPLEMENTED.withDescription("the driver has no operation " + op).asRuntimeException();
    };
  }

  @Override
  public void close() {
    if (channel != null) channel.shutdownNow();
  }

  private NamespaceServiceBlockingStub namespaces() {
    return NamespaceServiceGrpc.newBlockingStub(channel).withDeadlineAfter(1, TimeUnit.MINUTES);
  }

  private QueryServiceBlockingStub queries() {
    return QueryServiceGrpc.newBlockingStub(channel).withDeadlineAfter(1, TimeUnit.MINUTES);
  }

  private JsonObject connect(Request request) {
    close();
    channel = Varve.channel(request.text("address"));
    return new JsonObject();
  }

  private JsonObject createNamespace(Request request) {
    VectorField.Builder field =
        VectorField.newBuilder()
            .setDimension(request.number("dimension", 0))
            .setMetric(request.named("metric", Wire.METRICS))
            .setElementType(request.named("element_type", Wire.DTYPES));
    Namespace.Builder namespace =
        Namespace.newBuilder()
            .setName(request.text("name"))
            .addFields(field)
            .setIdType(request.named("id_type", Wire.ID_TYPES));
    namespaces().createNamespace(CreateNamespaceRequest.newBuilder().setNamespace(namespace).build());
    return new JsonObject();
  }

  private JsonObject deleteNamespace(Request request) {
    namespaces().deleteNamespace(DeleteNamespaceRequest.newBuilder().setName(request.text("name")).build());
    return new JsonObject();
  }

  /**
   * Writes the records of all rounds through one writer, and leaves out the batches that the producer has
   * committed before.
   */
  private JsonObject ingest(Request request, int rounds) throws InterruptedException {
    Cutter cutter = new Cutter(request, rounds);
    Ingested ingested = new Ingested(cutter);
    String producer = request.text("producer");
    IngestOptions options =
        new IngestOptions(request.text("namespace"), producer.isEmpty() ? "driver-" + UUID.randomUUID() : producer)
            .durability(request.named("durability", Wire.DURABILITIES))
            .onError(request.named("on_error", Wire.ON_ERRORS))
            .onAck(ingested::add);
    try (IngestWriter writer = IngestWriter.open(channel, options)) {
      for (long number = writer.lastBatch() + 1; number <= cutter.batches(); number++) {
        writer.write(cutter.batch(number));
      }
      writer.finish();
    }
    return ingested.json();
  }

  /** Counts what the acknowledgements of an ingest tell. */
  private static final class Ingested {
    private final Cutter cutter;
    private final JsonArray rowErrors = new JsonArray();
    private long rowsWritten;

    Ingested(Cutter cutter) {
      this.cutter = cutter;
    }

    void add(IngestAck ack) {
      // Of a batch whose acknowledgement was lost all that is known is that it is committed.
      rowsWritten += ack.getSequence() == 0 ? cutter.rows(ack.getNumber()) : ack.getRecordsWritten();
      for (RowError bad : ack.getRowErrorsList()) {
        JsonObject error = new JsonObject();
        error.addProperty("row", cutter.firstRow(ack.getNumber()) + bad.getRow());
        error.addProperty("message", bad.getMessage());
        rowErrors.add(error);
      }
    }

    JsonObject json() {
      JsonObject json = new JsonObject();
      json.addProperty("rows_written", rowsWritten);
      json.add("row_errors", rowErrors);
      return json;
    }
  }

  private JsonObject search(Request request) {
    SearchOptions options =
        searchOptions(request)
            .setIncludeVectors(request.flag("include_vectors"))
            .setIncludeMetadata(request.flag("include_metadata"))
            .build();
    List<Hit> hits =
        queries()
            .search(
                SearchRequest.newBuilder()
                    .setNamespace(request.text("namespace"))
                    .setQuery(request.tensor("query"))
                    .setOptions(options)
                    .build())
            .getHitsList();
    JsonObject found = new JsonObject();
    found.add("ids", Wire.json(hits.stream().map(Hit::getId).toList()));
    found.add("distances", Wire.numbers(hits.stream().map(Hit::getDistance).toList()));
    if (options.getIncludeVectors()) {
      JsonArray vectors = new JsonArray();
      hits.forEach(hit -> vectors.add(Wire.json(hit.getFields(0).getDense())));
      found.add("vectors", vectors);
    }
    if (options.getIncludeMetadata()) {
      JsonArray metadata = new JsonArray();
      hits.forEach(hit -> metadata.add(Wire.json(hit.getMetadata())));
      found.add("metadata", metadata);
    }
    return found;
  }

  private JsonObject searchBatch(Request request) {
    var response =
        queries()
            .searchBatch(
                SearchBatchRequest.newBuilder()
                    .setNamespace(request.text("namespace"))
                    .setQueries(request.tensor("queries"))
                    .setOptions(searchOptions(request))
                    .build());
    JsonObject found = new JsonObject();
    found.add("counts", Wire.numbers(response.getCountsList()));
    found.add("ids", Wire.json(response.getIds()));
    found.add("distances", Wire.numbers(response.getDistancesList()));
    return found;
  }

  private static SearchOptions.Builder searchOptions(Request request) {
    SearchOptions.Builder options =
        SearchOptions.newBuilder()
            .setK(request.number("k", 0))
            .setExact(request.flag("exact"))
            .setFilter(request.filter());
    if (request.part("ef_search") != null) options.setEfSearch(request.number("ef_search", 0));
    return options;
  }

  private JsonObject count(Request request) {
    CountRequest count =
        CountRequest.newBuilder().setNamespace(request.text("namespace")).setFilter(request.filter()).build();
    JsonObject json = new JsonObject();
    json.addProperty("count", queries().count(count).getCount());
    return json;
  }
}
