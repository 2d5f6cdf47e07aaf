import type { RecordedBatch } from "../batch";

/** What the real gateway wrote of the same requests, once for each kind of reader. */
export interface Recording {
  /** In our format. */
  batches: readonly RecordedBatch[];
  /** With each field as an attribute of its own, which a Collector counts without taking lines apart. */
  plainBatches: readonly RecordedBatch[];
  /** Lines of the JSON log, without line ends. */
  lines: readonly string[];
  records: number;
}
