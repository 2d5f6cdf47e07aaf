import type { BatchFault } from "../../exporter/receive/decode";
import { BatchError, decodeBatch } from "../../exporter/receive/decode";
import type { AccessRecord } from "../../exporter/receive/record";

/** What became of a message. */
export type Outcome =
  | { readonly taken: true; readonly records: readonly AccessRecord[]; readonly foreign: number }
  | { readonly taken: false; readonly fault: BatchFault };

/**
 * The decoder under test. The one place of the fuzz test that knows its form.
 * @throws whatever the decoder throws other than `BatchError`: that is a crash.
 */
export function decode(message: Buffer): Outcome {
  try {
    const { records, foreign } = decodeBatch(message);
    return { taken: true, records, foreign };
  } catch (error) {
    if (error instanceof BatchError) return { taken: false, fault: error.fault };
    throw error;
  }
}
