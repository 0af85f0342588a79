package dev.varve;

import com.google.protobuf.UnsafeByteOperations;
import dev.varve.v1.Dtype;
import dev.varve.v1.Tensor;
import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;

/** A channel with the right settings, and float32 values as a tensor. */
public final class Varve {
  /** What one answer of the server may have. */
  private static final int MAX_RECEIVE_BYTES = 64 << 20;

  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private Varve() {}

  /**
   * Returns a channel to the server at {@code address} ("127.0.0.1:7780"), without encryption. It connects
   * when the first call needs it and, after a break, again by itself; shut it down when done. That no server
   * is there is told by the calls.
   */
  public static ManagedChannel channel(String address) {
    return channel(address, InsecureChannelCredentials.create());
  }

  /**
   * The same with these credentials, such as {@code TlsChannelCredentials.create()}; together with {@link #apiKey}
   * by {@code CompositeChannelCredentials.create}.
   */
  public static ManagedChannel channel(String address, ChannelCredentials credentials) {
    return Grpc.newChannelBuilder(address, credentials)
        .maxInboundMessageSize(MAX_RECEIVE_BYTES)
        // A peer that is gone without a word (a cut cable, a frozen process) is noticed within 30 seconds.
        .keepAliveTime(20, TimeUnit.SECONDS)
        .keepAliveTimeout(10, TimeUnit.SECONDS)
        // A proxy is meant for the web; a database is spoken to directly.
        .proxyDetector(server -> null)
        .build();
  }

  /**
   * Sends the key with every call, for servers that ask for one. On a channel that is not encrypted everybody on
   * the way to the server can read it.
   */
  public static CallCredentials apiKey(String key) {
    return new CallCredentials() {
      @Override
      public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
        Metadata metadata = new Metadata();
        metadata.put(AUTHORIZATION, "Bearer " + key);
        applier.apply(metadata);
      }
    };
  }

  /**
   * Packs float32 values, row by row, into a tensor of this shape: (rows, dimension) for a batch of vectors,
   * (dimension) for one. The server refuses a shape that the values do not fill.
   */
  public static Tensor floats(float[] values, long... shape) {
    ByteBuffer data = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
    data.asFloatBuffer().put(values);
    return Tensor.newBuilder()
        .setDtype(Dtype.DTYPE_F32)
        .addAllShape(Arrays.stream(shape).boxed().toList())
        .setData(UnsafeByteOperations.unsafeWrap(data)) // nobody else has these bytes
        .build();
  }
}
