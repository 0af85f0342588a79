package dev.varve;

import dev.varve.v1.Durability;
import dev.varve.v1.IngestAck;
import dev.varve.v1.OnError;
import io.grpc.Status;
import java.time.Duration;
import java.util.function.Consumer;

/** Says where an {@link IngestWriter} writes and how. The writer reads it once, when it is opened. */
public final class IngestOptions {
  final String namespace;
  final String producer;
  Durability durability = Durability.DURABILITY_APPLIED;
  OnError onError = OnError.ON_ERROR_FAIL_BATCH;
  int maxBatchBytes = 4 << 20;
  Duration giveUpAfter = Duration.ofSeconds(30);
  Consumer<IngestAck> onAck = ack -> {};
  Consumer<Status> onDisconnect = status -> {};

  /**
   * @param namespace where the records go
   * @param producer names this sequence of batches, 1 to 256 bytes. Whoever opens a writer under the name
   *     again goes on where the last one ended; two at the same time are an error.
   */
  public IngestOptions(String namespace, String producer) {
    this.namespace = namespace;
    this.producer = producer;
  }

  /** What an acknowledgement promises. Default: {@code DURABILITY_APPLIED}. */
  public IngestOptions durability(Durability value) {
    durability = value;
    return this;
  }

  /** What happens to a batch in which some rows are bad. Default: {@code ON_ERROR_FAIL_BATCH}. */
  public IngestOptions onError(OnError value) {
    onError = value;
    return this;
  }

  /** A larger batch is refused. Default: 4 MiB, what any gRPC peer takes. */
  public IngestOptions maxBatchBytes(int value) {
    maxBatchBytes = value;
    return this;
  }

  /** The writer ends when it got no batch across and was without a connection for so long. Default: 30 s. */
  public IngestOptions giveUpAfter(Duration value) {
    giveUpAfter = value;
    return this;
  }

  /**
   * Called for every batch, in order of number. It must be brief, as no acknowledgement is read meanwhile,
   * and must not call the writer's write, finish or close. {@code sequence} is 0 when the connection broke
   * before the acknowledgement came and the commit was learned on reconnecting: then only {@code number} is
   * known. What it throws ends the writer.
   */
  public IngestOptions onAck(Consumer<IngestAck> value) {
    onAck = value;
    return this;
  }

  /** Called when the connection broke and will be tried again. As for onAck: brief, and not back. */
  public IngestOptions onDisconnect(Consumer<Status> value) {
    onDisconnect = value;
    return this;
  }
}
