package dev.varve;

import dev.varve.v1.IngestAck;
import dev.varve.v1.IngestBatch;
import dev.varve.v1.IngestOpen;
import dev.varve.v1.IngestOpened;
import dev.varve.v1.IngestRequest;
import dev.varve.v1.IngestResponse;
import dev.varve.v1.IngestServiceGrpc;
import dev.varve.v1.RecordBatch;
import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ClientCallStreamObserver;
import io.grpc.stub.ClientResponseObserver;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;

/**
 * Streams batches into a namespace: each is committed exactly once, in order, whatever happens to the
 * connection and the server.
 *
 * <p>Batches are numbered 1, 2, 3 ... in the order of {@link #write}, over all writers that ever opened under
 * the same producer. They are kept in memory until they are acknowledged; after a broken connection the writer
 * reconnects (with growing, jittered pauses), asks the server for the last batch it has, and sends again only
 * what comes after. A program that crashed does the same: {@link #lastBatch} tells it from which batch on to
 * repeat, and it must cut its records into the same batches as before.
 *
 * <p>One thread at a time may call write and finish; the other methods are for any thread. The end of the
 * channel ends the writer.
 */
public final class IngestWriter implements AutoCloseable {
  private static final int MAX_PRODUCER_BYTES = 256;
  /** How long the server may take to end a stream in which all is said. */
  private static final long CLOSE_TIMEOUT = TimeUnit.SECONDS.toNanos(5);

  private record Batch(long number, int bytes, IngestRequest request) {}

  private final ManagedChannel channel;
  private final IngestOpen open;
  private final int maxBatchBytes;
  private final Duration giveUpAfter;
  private final Consumer<IngestAck> onAck;
  private final Consumer<Status> onDisconnect;
  private final Thread runner = new Thread(this::run, "varve-ingest");

  /** Guards all that follows; notified whenever some of it changes. */
  private final Object lock = new Object();

  // Batches that are not acknowledged, oldest first; the first `sent` of them are on their way in the present
  // stream.
  private final List<Batch> queue = new ArrayList<>();
  private int sent;
  private long queueBytes;
  private long next = 1; // the number of the next batch
  private long committed;
  private long lastBatch;

  private IngestOpened limits; // what the server allows; null before the first stream is open
  private final Retry retry;
  private boolean finishing;
  private boolean stopped;
  private Status thrown; // by onAck: ends the writer, even when all is committed
  private Status end; // why the writer ended; OK when all is committed; null before

  /**
   * Connects and opens the stream.
   *
   * @throws StatusRuntimeException INVALID_ARGUMENT and NOT_FOUND come at once; while the server cannot be
   *     reached it is tried again for {@code giveUpAfter}
   */
  public static IngestWriter open(ManagedChannel channel, IngestOptions options) throws InterruptedException {
    int bytes = options.producer.getBytes(StandardCharsets.UTF_8).length;
    if (bytes == 0 || bytes > MAX_PRODUCER_BYTES) {
      throw error(Status.INVALID_ARGUMENT, "producer must have 1 to %d bytes, has %d", MAX_PRODUCER_BYTES, bytes);
    }
    IngestWriter writer = new IngestWriter(channel, options);
    writer.runner.setDaemon(true);
    writer.runner.start();
    try {
      writer.waitUntilOpen();
      return writer;
    } catch (InterruptedException | StatusRuntimeException e) {
      writer.close();
      throw e;
    }
  }

  private IngestWriter(ManagedChannel channel, IngestOptions options) {
    this.channel = channel;
    open =
        IngestOpen.newBuilder()
            .setNamespace(options.namespace)
            .setProducer(options.producer)
            .setDurability(options.durability)
            .setOnError(options.onError)
            .build();
    maxBatchBytes = options.maxBatchBytes;
    giveUpAfter = options.giveUpAfter;
    onAck = options.onAck;
    onDisconnect = options.onDisconnect;
    retry = new Retry(giveUpAfter);
  }

  /** The producer's last committed batch when the writer was opened; 0 when there was none. */
  public long lastBatch() {
    synchronized (lock) {
      return lastBatch;
    }
  }

  /** Every batch up to this number is committed for certain. */
  public long committed() {
    synchronized (lock) {
      return committed;
    }
  }

  /**
   * Takes the next batch and returns its number. Waits while more batches or bytes are unacknowledged than the
   * server allows.
   *
   * @throws StatusRuntimeException RESOURCE_EXHAUSTED: the batch is too large; the writer goes on, and the
   *     number is not spent. Any other error is the one the writer ended with, as {@link #finish} throws it.
   */
  public long write(RecordBatch records) throws InterruptedException {
    synchronized (lock) {
      if (finishing) throw error(Status.FAILED_PRECONDITION, "write after finish");
      IngestRequest request =
          IngestRequest.newBuilder()
              .setBatch(IngestBatch.newBuilder().setNumber(next).setRecords(records))
              .build();
      int bytes = request.getSerializedSize();
      long most = Math.min(maxBatchBytes, limits.getMaxMessageBytes());
      if (bytes > most) {
        throw error(Status.RESOURCE_EXHAUSTED, "batch %d has %d bytes; at most %d are taken", next, bytes, most);
      }
      await(() -> end != null || hasRoom(bytes));
      if (end != null) throw end.asRuntimeException();
      queue.add(new Batch(next, bytes, request));
      queueBytes += bytes;
      lock.notifyAll();
      return next++;
    }
  }

  /**
   * Sends what is left and waits until all is acknowledged. No write after it.
   *
   * @throws StatusRuntimeException what the stream ended with; its message names the last batch that is
   *     committed for certain. When the server refused a batch (INVALID_ARGUMENT), it is the one after: mend it.
   *     With UNAVAILABLE wait for the server. Then open again under the same producer.
   */
  public void finish() throws InterruptedException {
    synchronized (lock) {
      finishing = true;
      lock.notifyAll();
      await(() -> end != null);
      if (!end.isOk()) throw end.asRuntimeException();
    }
  }

  /** Drops what is not acknowledged yet (call finish before) and returns when nothing of the writer is left. */
  @Override
  public void close() {
    synchronized (lock) {
      stopped = true;
      lock.notifyAll();
    }
    boolean interrupted = false;
    while (runner.isAlive()) {
      try {
        runner.join(); // soon, as it only ever waits for what `stopped` ends
      } catch (InterruptedException e) {
        interrupted = true;
      }
    }
    if (interrupted) Thread.currentThread().interrupt();
  }

  private void waitUntilOpen() throws InterruptedException {
    synchronized (lock) {
      await(() -> limits != null || end != null);
      if (limits == null) throw end.asRuntimeException();
    }
  }

  // --- The runner's thread ---

  /** Keeps a stream going, one after another, until the writer ends. */
  private void run() {
    Status why;
    try {
      do {
        why = afterStream(runStream());
      } while (why == null);
    } catch (InterruptedException | RuntimeException e) {
      why = Status.ABORTED.withDescription("ingest was ended by " + e).withCause(e);
    }
    synchronized (lock) {
      end = why;
      lock.notifyAll();
    }
  }

  /** Opens a stream and works it until it ends; returns why it ended. */
  private Status runStream() throws InterruptedException {
    Stream stream = new Stream();
    long opensBy;
    synchronized (lock) {
      sent = 0;
      opensBy = retry.onAttempt(System.nanoTime());
    }
    // The pauses between attempts are ours; gRPC's own grow to two minutes.
    channel.resetConnectBackoff();
    IngestServiceGrpc.newStub(channel).ingest(stream);
    stream.call.onNext(IngestRequest.newBuilder().setOpen(open).build());
    if (!awaitUntil(opensBy, () -> stream.open || stream.isOver())) {
      stream.fail(Status.UNAVAILABLE.withDescription("the server does not answer"));
    }
    for (IngestRequest request = nextToSend(stream); request != null; request = nextToSend(stream)) {
      stream.call.onNext(request);
    }
    return closeStream(stream);
  }

  /** Waits for a batch to send; null: the stream is over, or everything is acknowledged. */
  private IngestRequest nextToSend(Stream stream) throws InterruptedException {
    synchronized (lock) {
      await(() -> stream.isOver() || isFinished() || (sent < queue.size() && stream.call.isReady()));
      if (stream.isOver() || isFinished()) return null;
      return queue.get(sent++).request;
    }
  }

  private Status closeStream(Stream stream) throws InterruptedException {
    stream.call.onCompleted();
    // Only this thread cancels: gRPC throws when a message follows.
    if (!awaitUntil(System.nanoTime() + CLOSE_TIMEOUT, stream::isOver) || stream.status == null) {
      stream.call.cancel("ingest is over", null);
    }
    synchronized (lock) {
      await(() -> stream.status != null);
      return stream.fault != null ? stream.fault : stream.status;
    }
  }

  /** After a stream ended: waits and returns null to open another; else what the writer ends with. */
  private Status afterStream(Status status) throws InterruptedException {
    OptionalLong delay;
    synchronized (lock) {
      if (thrown != null) return ended(thrown, reason(thrown));
      // A stream that ended after its last acknowledgement did all it was for, however it ended.
      if (isFinished() && limits != null) return Status.OK;
      if (stopped) return ended(Status.CANCELLED, "ingest was cancelled");
      if (!Retry.isTransient(status)) return ended(status, reason(status));
      if (channel.isShutdown()) return ended(Status.CANCELLED, "the channel was shut down");
      delay = retry.onFailure(System.nanoTime());
      if (delay.isEmpty()) {
        return ended(Status.UNAVAILABLE, "gave up after " + giveUpAfter.toSeconds() + "s: " + reason(status));
      }
    }
    onDisconnect.accept(status);
    awaitUntil(System.nanoTime() + delay.getAsLong(), () -> stopped);
    return null;
  }

  private Status ended(Status status, String reason) {
    if (limits != null) reason = "ingest ended after batch " + committed + ": " + reason;
    return status.withDescription(reason);
  }

  /** gRPC tells that a connection failed in the description, and why in the cause. */
  private static String reason(Status status) {
    String cause = status.getCause() == null ? "" : ": " + status.getCause().getMessage();
    if (status.getDescription() != null) return status.getDescription() + cause;
    return "no reason was given (" + status.getCode() + ")" + cause;
  }

  // --- What the server says, on a thread of the channel's ---

  private final class Stream implements ClientResponseObserver<IngestRequest, IngestResponse> {
    ClientCallStreamObserver<IngestRequest> call;
    boolean open;
    Status fault; // why we end it ourselves
    Status status; // how it ended

    /** Nothing more is to be sent. */
    boolean isOver() {
      return status != null || fault != null || stopped;
    }

    void fail(Status why) {
      synchronized (lock) {
        if (fault == null) fault = why;
        lock.notifyAll();
      }
    }

    @Override
    public void beforeStart(ClientCallStreamObserver<IngestRequest> requests) {
      call = requests;
      call.setOnReadyHandler(IngestWriter.this::wake);
    }

    @Override
    public void onNext(IngestResponse response) {
      try {
        switch (response.getMessageCase()) {
          case OPENED -> onOpened(this, response.getOpened());
          case ACK -> takeAck(response.getAck());
          default -> fail(Status.UNIMPLEMENTED.withDescription("the server answers with what this client does not know"));
        }
      } catch (StatusRuntimeException e) {
        fail(e.getStatus());
      } catch (RuntimeException e) {
        callbackThrew(this, e);
      }
    }

    @Override
    public void onError(Throwable error) {
      over(Status.fromThrowable(error));
    }

    @Override
    public void onCompleted() {
      over(Status.UNAVAILABLE.withDescription("the server ended the stream"));
    }

    private void over(Status how) {
      synchronized (lock) {
        status = how;
        lock.notifyAll();
      }
    }
  }

  private void callbackThrew(Stream stream, RuntimeException e) {
    synchronized (lock) {
      thrown = Status.ABORTED.withDescription("onAck threw").withCause(e);
      stream.fail(thrown);
    }
  }

  private void onOpened(Stream stream, IngestOpened opened) {
    List<Batch> unheard = new ArrayList<>(); // committed, and the acknowledgement got lost
    synchronized (lock) {
      retry.onConnected(System.nanoTime());
      long last = opened.getLastBatch();
      if (limits == null) {
        lastBatch = committed = last;
        next = last + 1;
      }
      checkPosition(last);
      while (!queue.isEmpty() && queue.get(0).number <= last) unheard.add(popFront());
      // An idle writer has nothing to make progress with.
      if (!unheard.isEmpty() || queue.isEmpty()) retry.onProgress();
      limits = opened;
    }
    for (Batch batch : unheard) onAck.accept(IngestAck.newBuilder().setNumber(batch.number).build());
    synchronized (lock) {
      stream.open = true;
      lock.notifyAll();
    }
  }

  private void checkPosition(long last) {
    if (last < committed) {
      throw error(
          Status.FAILED_PRECONDITION,
          "the server acknowledged batch %d of producer %s and now knows only %d: the namespace is not the one it was",
          committed, open.getProducer(), last);
    }
    if (last >= next) {
      throw error(
          Status.FAILED_PRECONDITION,
          "batch %d of producer %s is committed, but this writer got to %d only: another one uses the name",
          last, open.getProducer(), next - 1);
    }
  }

  private void takeAck(IngestAck ack) {
    synchronized (lock) {
      if (sent == 0 || queue.get(0).number != ack.getNumber()) {
        throw error(
            Status.FAILED_PRECONDITION,
            "the server acknowledged batch %d where %s",
            ack.getNumber(), sent == 0 ? "none was sent" : queue.get(0).number + " was to come");
      }
      sent--;
      popFront();
      retry.onProgress();
      lock.notifyAll();
    }
    onAck.accept(ack);
  }

  // --- Under the lock ---

  private Batch popFront() {
    Batch front = queue.remove(0);
    committed = front.number;
    queueBytes -= front.bytes;
    return front;
  }

  private boolean hasRoom(int bytes) {
    if (queue.isEmpty()) return true; // a batch larger than the window goes alone
    return queue.size() < limits.getWindowBatches() && queueBytes + bytes <= limits.getWindowBytes();
  }

  private boolean isFinished() {
    return finishing && queue.isEmpty();
  }

  private void await(BooleanSupplier done) throws InterruptedException {
    while (!done.getAsBoolean()) lock.wait();
  }

  // --- Without the lock ---

  /** Waits until done, but not beyond this time; returns whether it is done. */
  private boolean awaitUntil(long deadline, BooleanSupplier done) throws InterruptedException {
    synchronized (lock) {
      while (!done.getAsBoolean()) {
        long left = deadline - System.nanoTime();
        if (left <= 0) return false;
        TimeUnit.NANOSECONDS.timedWait(lock, left);
      }
      return true;
    }
  }

  private void wake() {
    synchronized (lock) {
      lock.notifyAll();
    }
  }

  private static StatusRuntimeException error(Status status, String format, Object... values) {
    return status.withDescription(String.format(format, values)).asRuntimeException();
  }
}
