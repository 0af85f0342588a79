package dev.varve.driver;

import com.google.protobuf.ByteString;
import dev.varve.v1.FieldVectors;
import dev.varve.v1.Ids;
import dev.varve.v1.Metadata;
import dev.varve.v1.RecordBatch;
import dev.varve.v1.Tensor;
import java.util.ArrayList;
import java.util.List;

/** Cuts the records of an ingest into batches, the same ones every time. */
final class Cutter {
  // A batch has so many rows, unless the request says otherwise or they are too wide for that.
  private static final int DEFAULT_BATCH_ROWS = 1000;
  private static final int DEFAULT_BATCH_BYTES = 2 << 20;

  /** The rows {@code begin} to {@code end - 1} of one round. */
  private record Span(long round, int begin, int end) {}

  private final List<Long> numbers;
  private final List<String> texts;
  private final Tensor vectors;
  private final List<Metadata> metadata;
  private final int records;
  private final int rowBytes;
  private final int batchRows;
  private final int rounds;

  Cutter(Request request, int rounds) {
    numbers = request.numbers();
    texts = request.texts();
    vectors = request.tensor("vectors");
    metadata = request.metadata();
    records = numbers.size() + texts.size();
    this.rounds = rounds;
    check();
    rowBytes = records == 0 ? 0 : vectors.getData().size() / records;
    int fit = Math.min(DEFAULT_BATCH_ROWS, DEFAULT_BATCH_BYTES / (rowBytes + 1));
    batchRows = request.number("batch_rows", fit);
  }

  private void check() {
    List<Long> shape = vectors.getShapeList();
    if (shape.size() != 2 || shape.get(0) != records) {
      throw Driver.invalid("%d ids need vectors of shape [%d, dimension], found %s", records, records, shape);
    }
    int bytes = vectors.getData().size();
    if (records > 0 && bytes % records != 0) {
      throw Driver.invalid("%d bytes of vectors are not the same for each of %d ids", bytes, records);
    }
    if (!metadata.isEmpty() && metadata.size() != records) {
      throw Driver.invalid("%d ids came with metadata of %d records", records, metadata.size());
    }
    if (rounds > 1 && !texts.isEmpty()) {
      throw Driver.invalid("ids must be numbers to be repeated %d times, found texts", rounds);
    }
  }

  /** A batch never has records of two rounds. */
  private long batchesPerRound() {
    return (records + batchRows - 1) / batchRows;
  }

  long batches() {
    return rounds * batchesPerRound();
  }

  /** Where a batch begins, counted over all rounds. */
  long firstRow(long number) {
    Span span = span(number);
    return span.round * records + span.begin;
  }

  int rows(long number) {
    Span span = span(number);
    return span.end - span.begin;
  }

  private Span span(long number) {
    int begin = (int) ((number - 1) % batchesPerRound()) * batchRows;
    return new Span((number - 1) / batchesPerRound(), begin, Math.min(begin + batchRows, records));
  }

  RecordBatch batch(long number) {
    Span span = span(number);
    ByteString data = vectors.getData().substring(span.begin * rowBytes, span.end * rowBytes);
    Tensor tensor = vectors.toBuilder().setShape(0, span.end - span.begin).setData(data).build();
    RecordBatch.Builder batch =
        RecordBatch.newBuilder().setIds(ids(span)).addFields(FieldVectors.newBuilder().setDense(tensor));
    if (!metadata.isEmpty()) batch.addAllMetadata(metadata.subList(span.begin, span.end));
    return batch.build();
  }

  private Ids ids(Span span) {
    if (!texts.isEmpty()) return Wire.textIds(texts.subList(span.begin, span.end));
    List<Long> ids = new ArrayList<>();
    for (long id : numbers.subList(span.begin, span.end)) ids.add(id + span.round * records);
    return Wire.numberIds(ids);
  }
}
