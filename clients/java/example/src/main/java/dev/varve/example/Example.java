package dev.varve.example;

import dev.varve.IngestOptions;
import dev.varve.IngestWriter;
import dev.varve.Varve;
import dev.varve.v1.CreateNamespaceRequest;
import dev.varve.v1.FieldVectors;
import dev.varve.v1.Hit;
import dev.varve.v1.Ids;
import dev.varve.v1.Metric;
import dev.varve.v1.Namespace;
import dev.varve.v1.NamespaceServiceGrpc;
import dev.varve.v1.NumberIds;
import dev.varve.v1.QueryServiceGrpc;
import dev.varve.v1.RecordBatch;
import dev.varve.v1.SearchOptions;
import dev.varve.v1.SearchRequest;
import dev.varve.v1.VectorField;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.util.Arrays;
import java.util.Random;
import java.util.concurrent.TimeUnit;

/**
 * Streams vectors into a namespace and searches. Stopped in the midst and run again, it goes on where it was.
 * Run a server first: varved. The argument is its address, if that is another than 127.0.0.1:7780.
 */
public final class Example {
  private static final String NAMESPACE = "java-example";
  private static final int DIMENSION = 64;
  private static final int BATCHES = 50;
  private static final int BATCH_ROWS = 1000;

  public static void main(String[] arguments) throws InterruptedException {
    ManagedChannel channel = Varve.channel(arguments.length > 0 ? arguments[0] : "127.0.0.1:7780");
    try {
      create(channel);
      write(channel);
      search(channel);
    } finally {
      channel.shutdownNow();
    }
  }

  private static void create(ManagedChannel channel) {
    VectorField.Builder field = VectorField.newBuilder().setDimension(DIMENSION).setMetric(Metric.METRIC_COSINE);
    try {
      NamespaceServiceGrpc.newBlockingStub(channel)
          .withDeadlineAfter(1, TimeUnit.MINUTES)
          .createNamespace(
              CreateNamespaceRequest.newBuilder()
                  .setNamespace(Namespace.newBuilder().setName(NAMESPACE).addFields(field))
                  .build());
    } catch (StatusRuntimeException e) {
      if (e.getStatus().getCode() != Status.Code.ALREADY_EXISTS) throw e; // which it does in a second run
    }
  }

  /** Streams all batches that the server does not have yet. */
  private static void write(ManagedChannel channel) throws InterruptedException {
    try (IngestWriter writer = IngestWriter.open(channel, new IngestOptions(NAMESPACE, "example-1"))) {
      System.out.println(writer.lastBatch() + " batches are there");
      for (long number = writer.lastBatch() + 1; number <= BATCHES; number++) {
        writer.write(batch(number));
      }
      writer.finish(); // every batch is committed, exactly once
    }
  }

  /** Batch 1, 2, 3 ...: always the same records for the same number. */
  private static RecordBatch batch(long number) {
    NumberIds.Builder ids = NumberIds.newBuilder();
    for (int i = 0; i < BATCH_ROWS; i++) ids.addValues((number - 1) * BATCH_ROWS + i);
    return RecordBatch.newBuilder()
        .setIds(Ids.newBuilder().setNumbers(ids))
        .addFields(FieldVectors.newBuilder().setDense(Varve.floats(vectors(number), BATCH_ROWS, DIMENSION)))
        .build();
  }

  private static float[] vectors(long number) {
    Random random = new Random(number);
    float[] values = new float[BATCH_ROWS * DIMENSION];
    for (int i = 0; i < values.length; i++) values[i] = (float) random.nextGaussian();
    return values;
  }

  /** Looks for the records nearest to the first one of batch 7. */
  private static void search(ManagedChannel channel) {
    float[] query = Arrays.copyOf(vectors(7), DIMENSION);
    var found =
        QueryServiceGrpc.newBlockingStub(channel)
            .withDeadlineAfter(1, TimeUnit.MINUTES)
            .search(
                SearchRequest.newBuilder()
                    .setNamespace(NAMESPACE)
                    .setQuery(Varve.floats(query, DIMENSION))
                    .setOptions(SearchOptions.newBuilder().setK(3))
                    .build());
    for (Hit hit : found.getHitsList()) {
      System.out.println(hit.getId().getNumber() + " " + hit.getDistance());
    }
  }

  private Example() {}
}
