export type { IndexingProgress, NamespaceStats, Segment, Snapshot, SnapshotReport, Stats } from "./admin.js";
export type { CallOptions } from "./channel.js";
export { Client, type ClientOptions, type CreateSnapshotOptions, type RestoreSnapshotOptions } from "./client.js";
export type { Pem, TlsOptions } from "./credentials.js";
export { type Code, VarveError } from "./errors.js";
export type { Comparison, Filter, FilterObject, FilterValue } from "./filter.js";
export type { Id, Ids, ReadIds } from "./ids.js";
export type { Chunks, IngestArrayOptions, IngestOptions, IngestProgress, IngestTotals } from "./ingest.js";
export type { Metadata, MetadataPatch, MetadataValue } from "./metadata.js";
export type {
  CountOptions,
  DeleteMatchingOptions,
  DeleteOptions,
  DeleteResult,
  GetOptions,
  GetResult,
  Namespace,
  ScanOptions,
  ScanPage,
  UpdateMetadataOptions,
  UpdateMetadataResult,
} from "./namespace.js";
export type { Chunk, FieldVectors, Include, ReadField, ReadRecords, RecordParts } from "./records.js";
export type {
  AttributeSpec,
  AttributeType,
  Description,
  Field,
  FieldSpec,
  IdType,
  IndexOptions,
  Metric,
  NamespaceLimits,
  NamespaceSpec,
} from "./schema.js";
export type {
  Diversity,
  Examples,
  Explanation,
  Hit,
  SearchBatchOptions,
  SearchBatchResult,
  SearchOptions,
  SearchResult,
  SegmentExplanation,
} from "./search.js";
export type { Dtype, Vectors } from "./tensor.js";
export type { Ack, Durability, IngestResult, IngestWriter, OnError, RowError, WriterOptions } from "./writer.js";
