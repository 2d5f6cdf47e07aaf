import { numberColumn, textColumn } from "./batch";
import type { AccessRecordField } from "./fields";
import { accessRecordFields } from "./fields";

/** One of our attributes' keys as bytes, and where its value goes. */
export interface FieldKey {
  readonly length: number;
  readonly isText: boolean;
  /** Column among the texts or among the numbers. */
  readonly column: number;
  /** The key's bytes, four to a number. */
  readonly words: Int32Array;
  /** What is left after the words. */
  readonly rest: Uint8Array;
}

/** The keys in the order in which `components/gatewayAccessLog.ts` has Envoy write them. */
export const expectedKeys: readonly FieldKey[] = Object.entries(accessRecordFields).map(([field, key]) =>
  createKey(field as AccessRecordField, Buffer.from(key)),
);

/** By length, so that a key is told without making a string of it. */
const keysByLength: FieldKey[][] = [];
for (const key of expectedKeys) (keysByLength[key.length] ??= []).push(key);

function createKey(field: AccessRecordField, bytes: Buffer): FieldKey {
  const whole = bytes.length >> 2;
  const words = Int32Array.from({ length: whole }, (_, word) => bytes.readInt32LE(word * 4));
  const place = isText(field)
    ? { isText: true, column: textColumn[field] }
    : { isText: false, column: numberColumn[field] };
  return { length: bytes.length, ...place, words, rest: new Uint8Array(bytes.subarray(whole * 4)) };
}

function isText(field: AccessRecordField): field is keyof typeof textColumn {
  return field in textColumn;
}

/** Whether the key stands there; the view must hold as many bytes from there on. */
export function sameKey(view: DataView, start: number, { words, rest }: FieldKey): boolean {
  let position = start;
  for (let word = 0; word < words.length; word += 1, position += 4) {
    if (view.getInt32(position, true) !== words[word]) return false;
  }
  for (let byte = 0; byte < rest.length; byte += 1, position += 1) {
    if (view.getUint8(position) !== rest[byte]) return false;
  }
  return true;
}

/** The key that these bytes are, if it is one of ours. */
export function findKey(view: DataView, start: number, end: number): FieldKey | undefined {
  for (const key of keysByLength[end - start] ?? []) if (sameKey(view, start, key)) return key;
  return undefined;
}
