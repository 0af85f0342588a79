import { varve } from "../generated/varve.js";
import { durationFromWire, timeFromWire } from "./metadata.js";

import v1 = varve.v1;

/** A part of a field's index. */
export interface Segment {
  /** Unique within the field, never used again. */
  id: number;
  state: "active" | "sealing" | "sealed" | "compacting" | "unknown";
  /** Live and dead. */
  rows: number;
  liveRows: number;
  deadRows: number;
  /** Rows that a graph walk finds; the rest is scanned exactly. */
  indexedRows: number;
  /** Without the mapped file. */
  memoryBytes: number;
  /** 0 while it has no file. */
  fileBytes: number;
  /** Size class, each of about four times the rows. */
  level: number;
}

/** How far indexing is with the rows that were committed before the call. */
export interface IndexingProgress {
  indexedRows: number;
  totalRows: number;
  rowsPerSecond: number;
  /** Estimated time left; undefined when it cannot be told. */
  remainingMilliseconds: number | undefined;
}

/** Figures of one namespace. */
export interface NamespaceStats {
  records: number;
  /** The last commit. */
  sequence: number;
  segments: number;
  /** Rows replaced or deleted whose space is not reclaimed yet. */
  deadRows: number;
  /** Rows that wait to be linked. */
  unindexedRows: number;
  indexMemoryBytes: number;
}

/** Figures of the server. */
export interface Stats {
  version: string;
  uptimeMilliseconds: number;
  namespaces: number;
  residentBytes: number;
  diskBytes: number;
}

/** A copy of namespaces as of one moment, kept by the server. */
export interface Snapshot {
  name: string;
  createTime: Date;
  /** The one it was made of; undefined: all. */
  onlyNamespace: string | undefined;
  /** Those that are in it, in order of name, and the last commit of each. */
  namespaces: { name: string; sequence: number }[];
  /** Of its files; those that it shares with the server's data, too. */
  bytes: number;
}

/** What reading all of a snapshot found: a line for each thing that is wrong. */
export interface SnapshotReport {
  /** Nothing is wrong. */
  clean: boolean;
  /** Cannot be made good. */
  recordDamage: string[];
  /** What is damaged of an index is made anew when it is restored. */
  indexDamage: string[];
  namespaces: number;
  records: number;
  segments: number;
}

const STATES = ["unknown", "active", "sealing", "sealed", "compacting"] as const;

export function segmentFromWire(segment: v1.ISegment): Segment {
  return {
    id: Number(segment.id ?? 0),
    state: STATES[segment.state ?? 0] ?? "unknown",
    rows: Number(segment.rows ?? 0),
    liveRows: Number(segment.liveRows ?? 0),
    deadRows: Number(segment.deadRows ?? 0),
    indexedRows: Number(segment.indexedRows ?? 0),
    memoryBytes: Number(segment.memoryBytes ?? 0),
    fileBytes: Number(segment.fileBytes ?? 0),
    level: segment.level ?? 0,
  };
}

export function progressFromWire(progress: v1.IWatchIndexingResponse): IndexingProgress {
  return {
    indexedRows: Number(progress.indexedRows ?? 0),
    totalRows: Number(progress.totalRows ?? 0),
    rowsPerSecond: progress.rowsPerSecond ?? 0,
    remainingMilliseconds: progress.remaining ? durationFromWire(progress.remaining) : undefined,
  };
}

export function snapshotFromWire(snapshot: v1.ISnapshot | null | undefined): Snapshot {
  return {
    name: snapshot?.name ?? "",
    createTime: timeFromWire(snapshot?.createTime),
    onlyNamespace: snapshot?.onlyNamespace || undefined,
    namespaces: (snapshot?.namespaces ?? []).map(({ namespace, sequence }) => ({
      name: namespace ?? "",
      sequence: Number(sequence ?? 0),
    })),
    bytes: Number(snapshot?.bytes ?? 0),
  };
}

export function snapshotReportFromWire(report: v1.IVerifySnapshotResponse): SnapshotReport {
  const recordDamage = report.recordDamage ?? [];
  const indexDamage = report.indexDamage ?? [];
  return {
    clean: recordDamage.length === 0 && indexDamage.length === 0,
    recordDamage,
    indexDamage,
    namespaces: Number(report.namespaces ?? 0),
    records: Number(report.records ?? 0),
    segments: Number(report.segments ?? 0),
  };
}

export function statsFromWire(stats: v1.IStatsResponse): Stats {
  return {
    version: stats.version ?? "",
    uptimeMilliseconds: durationFromWire(stats.uptime),
    namespaces: Number(stats.namespaces ?? 0),
    residentBytes: Number(stats.residentBytes ?? 0),
    diskBytes: Number(stats.diskBytes ?? 0),
  };
}

export function namespaceStatsFromWire(stats: v1.INamespaceStats | null | undefined): NamespaceStats {
  return {
    records: Number(stats?.records ?? 0),
    sequence: Number(stats?.sequence ?? 0),
    segments: Number(stats?.segments ?? 0),
    deadRows: Number(stats?.deadRows ?? 0),
    unindexedRows: Number(stats?.unindexedRows ?? 0),
    indexMemoryBytes: Number(stats?.indexMemoryBytes ?? 0),
  };
}
