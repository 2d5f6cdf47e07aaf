import type { AddressRange, AddressWords } from "./address";
import { maskWords } from "./address";

/**
 * Values kept by address range and found by address, the most specific range first.
 *
 * One map per prefix length that is in use: a look-up costs one hash per length (a fleet has two or
 * three), whatever the number of ranges, and memory grows with the ranges alone.
 */
export class PrefixTable<T> {
  private readonly families = new Map<number, { lengths: number[]; maps: Map<number, Map<string, T>> }>();

  /** The value of exactly this range. */
  get(range: AddressRange): T | undefined {
    return this.families.get(range.words.length)?.maps.get(range.prefixLength)?.get(keyOf(range.words));
  }

  /** Sets the value of exactly this range. */
  set(range: AddressRange, value: T): void {
    let family = this.families.get(range.words.length);
    if (family === undefined) {
      family = { lengths: [], maps: new Map() };
      this.families.set(range.words.length, family);
    }
    let map = family.maps.get(range.prefixLength);
    if (map === undefined) {
      map = new Map();
      family.maps.set(range.prefixLength, map);
      family.lengths = [...family.maps.keys()].sort((a, b) => b - a);
    }
    map.set(keyOf(range.words), value);
  }

  /** The value of the most specific range that holds the address. */
  nearest(words: AddressWords): T | undefined {
    const family = this.families.get(words.length);
    if (family === undefined) return undefined;
    for (const length of family.lengths) {
      const value = family.maps.get(length)?.get(keyOf(maskWords(words, length)));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /**
   * The values of all ranges that hold the address, the most specific first.
   * @param longest ranges with a longer prefix than this are passed over (default: none are).
   */
  covering(words: AddressWords, longest = Number.POSITIVE_INFINITY): T[] {
    const family = this.families.get(words.length);
    const found: T[] = [];
    for (const length of family?.lengths ?? []) {
      if (length > longest) continue;
      const value = family?.maps.get(length)?.get(keyOf(maskWords(words, length)));
      if (value !== undefined) found.push(value);
    }
    return found;
  }
}

/** One UTF-16 code unit per word: the shortest string that is unique, and strings hash well. */
function keyOf(words: AddressWords): string {
  return String.fromCharCode(...words);
}
