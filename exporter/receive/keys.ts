import { textColumn } from "./batch";
import { accessRecordAttributes } from "./fields";

/** One of our attributes' keys as bytes, and where its value goes. */
export interface AttributeKey {
  readonly bytes: Uint8Array;
  /** Column among the texts. */
  readonly column: number;
}

/** The keys in the order in which `components/gatewayAccessLog.ts` has Envoy write them. */
export const expectedKeys: readonly AttributeKey[] = Object.entries(accessRecordAttributes).map(
  ([field, key]) => ({
    bytes: new Uint8Array(Buffer.from(key)),
    column: textColumn[field as keyof typeof accessRecordAttributes],
  }),
);

/** Whether the key stands there. */
export function sameKey(message: Uint8Array, start: number, { bytes }: AttributeKey): boolean {
  for (let index = 0; index < bytes.length; index += 1)
    if (message[start + index] !== bytes[index]) return false;
  return true;
}

/** The key that these bytes are, if it is one of ours. */
export function findKey(message: Uint8Array, start: number, end: number): AttributeKey | undefined {
  for (const key of expectedKeys)
    if (key.bytes.length === end - start && sameKey(message, start, key)) return key;
  return undefined;
}
