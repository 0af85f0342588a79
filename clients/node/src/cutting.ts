// How long lists are cut so that every message, both ways, stays below gRPC's 4 MiB default.

import { idBytes, type Ids } from "./ids.js";

export const MESSAGE_BYTES_MAX = 4 << 20;
export const GET_IDS_MAX = 10_000;
export const GET_WHOLE_RECORDS_MAX = 1_000;

/** What a batch has when nobody says how many rows. */
const USUAL_BATCH_BYTES = 1 << 20;
/** What is left of a message after its envelope: names, options, lengths. */
const PAYLOAD_BYTES_MAX = MESSAGE_BYTES_MAX - (64 << 10);
const SEARCH_RESULTS_MAX = 4_000_000; // queries x k of one SearchBatch
const TEXT_ID_BYTES_MAX = 512;
/** Tag and length of a text id, or of a query's count. */
const ITEM_OVERHEAD_BYTES = 6;
/** The kind of ids is not known beforehand: room for the longest. */
const HIT_BYTES_MAX = TEXT_ID_BYTES_MAX + ITEM_OVERHEAD_BYTES + 4;
/** Half of an UpdateMetadata is for ids, the longest there may be, half for patches. */
export const UPDATE_IDS_MAX = Math.floor(MESSAGE_BYTES_MAX / 2 / (TEXT_ID_BYTES_MAX + 8));
export const PATCH_BYTES_MAX = MESSAGE_BYTES_MAX / 2;

/** Rows of `rowBytes` that one batch has: what is wanted, if that fits a message, or about 1 MiB; at least 1. */
export function rowsPerBatch(rowBytes: number, wanted?: number): number {
  const fitting = Math.floor(PAYLOAD_BYTES_MAX / Math.max(rowBytes, 1));
  const rows = wanted ?? Math.floor(USUAL_BATCH_BYTES / Math.max(rowBytes, 1));
  return Math.max(1, Math.min(rows, fitting));
}

/** Queries that one SearchBatch carries; at least 1. */
export function queriesPerCall(queryBytes: number, k: number): number {
  const results = Math.max(k, 1);
  const fitThere = PAYLOAD_BYTES_MAX / Math.max(queryBytes, 1);
  const fitBack = PAYLOAD_BYTES_MAX / (results * HIT_BYTES_MAX + ITEM_OVERHEAD_BYTES);
  return Math.max(1, Math.floor(Math.min(fitThere, fitBack, SEARCH_RESULTS_MAX / results)));
}

/** How many ids from position `first` on one message carries: `most` at most; at least 1. */
export function idsPerCall(ids: Ids, first: number, most: number): number {
  const end = Math.min(ids.length, first + most);
  let bytes = 0;
  let i = first;
  for (; i < end; ++i) {
    bytes += idBytes(ids, i, i + 1) + ITEM_OVERHEAD_BYTES;
    if (bytes > PAYLOAD_BYTES_MAX && i > first) break;
  }
  return i - first;
}
