/** Bytes of one entry: one line of the processor's cache, so that a look-up costs one miss at most. */
const entryWords = 16;
const hashAt = 0;
const lengthsAt = 1;
const valueAt = 2;
const keyAt = 3;
const keyWords = entryWords - keyAt;
/** Entries tried from the hash's own place on. */
const tries = 16;

/**
 * Remembers a small number for a pair of byte strings, found by comparing bytes in the message: no string is made. It
 * is a cache of a fixed size: an entry may be gone at any time, and a pair of more than 52 bytes never enters.
 */
export class PairTable {
  private readonly words: Int32Array;
  private readonly mask: number;
  /** Differs in each process, or callers could choose what falls on one place. */
  private readonly seed = Math.floor(Math.random() * 2 ** 31);

  /** @param entries a power of two; 64 bytes each. */
  constructor(entries: number) {
    this.words = new Int32Array(entries * entryWords);
    this.mask = entries - 1;
  }

  /** Reads where the pair of this hash would stand, so that it is in the processor's cache when it is looked for. */
  touch(hash: number): number {
    return this.words[(hash & this.mask) * entryWords] ?? 0;
  }

  /**
   * @param hash of the pair, from `hashOf`.
   * @param view the bytes around both strings.
   * @returns what was set for the pair, or -1.
   */
  find(hash: number, view: DataView, start1: number, end1: number, start2: number, end2: number): number {
    const { words, mask } = this;
    const lengths = lengthsOf(end1 - start1, end2 - start2);
    for (let attempt = 0; attempt < tries; attempt += 1) {
      const entry = ((hash + attempt) & mask) * entryWords;
      if (words[entry + lengthsAt] === 0) return -1;
      if (words[entry + hashAt] !== hash || words[entry + lengthsAt] !== lengths) continue;
      const second = matches(words, entry + keyAt, view, start1, end1);
      if (second >= 0 && matches(words, second, view, start2, end2) >= 0) return words[entry + valueAt] ?? -1;
    }
    return -1;
  }

  /** @param value 0 or more. */
  set(
    hash: number,
    view: DataView,
    start1: number,
    end1: number,
    start2: number,
    end2: number,
    value: number,
  ): void {
    const { words, mask } = this;
    if (wordsFor(end1 - start1) + wordsFor(end2 - start2) > keyWords) return;
    let entry = (hash & mask) * entryWords;
    for (let attempt = 0; attempt < tries; attempt += 1) {
      const candidate = ((hash + attempt) & mask) * entryWords;
      if (words[candidate + lengthsAt] !== 0) continue;
      entry = candidate;
      break;
    }
    words[entry + hashAt] = hash;
    words[entry + lengthsAt] = lengthsOf(end1 - start1, end2 - start2);
    words[entry + valueAt] = value;
    const second = copy(words, entry + keyAt, view, start1, end1);
    copy(words, second, view, start2, end2);
  }

  /** The hash of two byte strings, for the other methods. */
  hashOf(view: DataView, start1: number, end1: number, start2: number, end2: number): number {
    const hash = mix(mix(this.seed, view, start1, end1), view, start2, end2);
    return hash ^ (hash >>> 15);
  }
}

/** Both lengths in one number, which is never 0. */
const lengthsOf = (length1: number, length2: number) => (length1 << 16) | (length2 << 1) | 1;

const wordsFor = (length: number) => (length + 3) >> 2;

function mix(seed: number, view: DataView, start: number, end: number): number {
  let hash = seed;
  let position = start;
  for (; position + 4 <= end; position += 4) hash = mixWord(hash, view.getInt32(position, true));
  return position < end ? mixWord(hash, readRest(view, position, end)) : hash;
}

function mixWord(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return mixed ^ (mixed >>> 15);
}

/** One to three bytes as a number. */
function readRest(view: DataView, start: number, end: number): number {
  let word = 0;
  for (let position = end - 1; position >= start; position -= 1) word = (word << 8) | view.getUint8(position);
  return word;
}

/** @returns where the words after these begin, or -1 when they differ. */
function matches(words: Int32Array, at: number, view: DataView, start: number, end: number): number {
  let word = at;
  let position = start;
  for (; position + 4 <= end; position += 4, word += 1) {
    if (words[word] !== view.getInt32(position, true)) return -1;
  }
  if (position === end) return word;
  return words[word] === readRest(view, position, end) ? word + 1 : -1;
}

/** @returns where the words after these begin. */
function copy(words: Int32Array, at: number, view: DataView, start: number, end: number): number {
  let word = at;
  let position = start;
  for (; position + 4 <= end; position += 4, word += 1) words[word] = view.getInt32(position, true);
  if (position === end) return word;
  words[word] = readRest(view, position, end);
  return word + 1;
}
