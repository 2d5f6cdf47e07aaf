import type { AddressWords } from "../identify/address";
import { formatAddress } from "../identify/address";

/** One of the callers that make themselves heard most. */
export interface Talker {
  /** IPv4 address, or the /64 block of an IPv6 address: `192.0.2.1`, `2001:db8:0:1::/64`. */
  readonly address: string;
  /** Requests, at most: what was counted for it, and for whom it took the place of. */
  readonly atMost: number;
  /** Requests that are surely its own. */
  readonly atLeast: number;
  /** Seconds since 1970 when its latest request was counted. */
  readonly lastSeenSeconds: number;
}

/** How many callers are followed; 30 KiB in all. Whoever makes more than one in 512 requests is surely among them. */
const defaultCapacity = 512;
const none = -1;

/**
 * The heaviest of any number of callers, in memory that never grows: the Space-Saving algorithm. A caller that is not
 * followed takes the place of the one with the fewest requests, and its count with it. So nobody's count is too low, and
 * none is too high by more than all requests divided by the places.
 * Metwally, Agrawal, El Abbadi: Efficient computation of frequent and top-k elements in data streams (2005),
 * https://doi.org/10.1007/978-3-540-30570-5_27
 *
 * IPv6 callers are taken together by /64, since that is what one machine is given: a flood from all of its addresses is
 * one talker. No text is kept, and nothing is allocated for a caller: places are numbers in arrays.
 */
export class TopTalkers {
  private size = 0;
  private counted = 0;
  /** The address as two numbers of 32 bits: an IPv6 block's words, or 0 and the IPv4 address. */
  private readonly high: Uint32Array;
  private readonly low: Uint32Array;
  private readonly isIPv6: Uint8Array;
  private readonly counts: Float64Array;
  /** How much of the count was taken over. */
  private readonly inherited: Float64Array;
  private readonly lastSeen: Float64Array;
  /** Places as a heap, the one with the fewest requests first, and where in it each place is. */
  private readonly heap: Int32Array;
  private readonly heapIndex: Int32Array;
  /** Places by hash: the first of each chain, and the next one. */
  private readonly chains: Int32Array;
  private readonly next: Int32Array;

  /** @param capacity how many callers are followed. Default 512. */
  constructor(readonly capacity: number = defaultCapacity) {
    this.high = new Uint32Array(capacity);
    this.low = new Uint32Array(capacity);
    this.isIPv6 = new Uint8Array(capacity);
    this.counts = new Float64Array(capacity);
    this.inherited = new Float64Array(capacity);
    this.lastSeen = new Float64Array(capacity);
    this.heap = new Int32Array(capacity);
    this.heapIndex = new Int32Array(capacity);
    this.chains = new Int32Array(2 ** Math.ceil(Math.log2(capacity * 2))).fill(none);
    this.next = new Int32Array(capacity).fill(none);
  }

  /** Most that any count can be too high by, in requests. */
  get errorBound(): number {
    return this.size < this.capacity ? 0 : Math.floor(this.counted / this.capacity);
  }

  /**
   * Counts one request.
   * @param address from `parseAddress`; what is no address is passed over.
   */
  add(address: AddressWords | undefined, nowSeconds: number): void {
    if (address === undefined) return;
    const [first = 0, second = 0, third = 0, fourth = 0] = address;
    if (address.length === 2) this.addKey(0, first * 0x10000 + second, 0, nowSeconds);
    else this.addKey(first * 0x10000 + second, third * 0x10000 + fourth, 1, nowSeconds);
  }

  /** @returns those followed with the most requests of their own, `most` at most, the one seen last first. */
  list(most: number): Talker[] {
    return Array.from({ length: this.size }, (_, place) => this.describe(place))
      .sort((one, other) => other.atLeast - one.atLeast)
      .slice(0, most)
      .sort((one, other) => other.lastSeenSeconds - one.lastSeenSeconds);
  }

  private describe(place: number): Talker {
    const [high = 0, low = 0, atMost = 0] = [this.high[place], this.low[place], this.counts[place]];
    const halves = (word: number) => [word >>> 16, word & 0xffff];
    const address =
      this.isIPv6[place] === 1
        ? `${formatAddress([...halves(high), ...halves(low), 0, 0, 0, 0])}/64`
        : formatAddress(halves(low));
    const atLeast = atMost - (this.inherited[place] ?? 0);
    return { address, atMost, atLeast, lastSeenSeconds: this.lastSeen[place] ?? 0 };
  }

  private addKey(high: number, low: number, isIPv6: number, nowSeconds: number): void {
    const chain = this.chainOf(high, low);
    this.counted += 1;
    let place = this.chains[chain] ?? none;
    while (place !== none && !this.holds(place, high, low, isIPv6)) place = this.next[place] ?? none;
    if (place === none) place = this.takePlace(chain, high, low, isIPv6);
    this.counts[place] = (this.counts[place] ?? 0) + 1;
    this.lastSeen[place] = nowSeconds;
    this.sink(this.heapIndex[place] ?? 0, place);
  }

  private holds(place: number, high: number, low: number, isIPv6: number): boolean {
    return this.low[place] === low && this.high[place] === high && this.isIPv6[place] === isIPv6;
  }

  /** Gives the caller a place: a free one, or that of whoever has the fewest requests. */
  private takePlace(chain: number, high: number, low: number, isIPv6: number): number {
    let place = this.size;
    if (this.size < this.capacity) {
      this.size += 1;
      // A count of 0 is the least there is; it belongs to the top, and those above it one down.
      this.rise(place);
    } else {
      place = this.heap[0] ?? 0;
      this.unlink(place);
      this.inherited[place] = this.counts[place] ?? 0;
    }
    this.high[place] = high;
    this.low[place] = low;
    this.isIPv6[place] = isIPv6;
    this.next[place] = this.chains[chain] ?? none;
    this.chains[chain] = place;
    return place;
  }

  private unlink(place: number): void {
    const chain = this.chainOf(this.high[place] ?? 0, this.low[place] ?? 0);
    const after = this.next[place] ?? none;
    let before = this.chains[chain] ?? none;
    if (before === place) {
      this.chains[chain] = after;
      return;
    }
    while (this.next[before] !== place) before = this.next[before] ?? none;
    this.next[before] = after;
  }

  /** Mixed by the finaliser of MurmurHash3. Callers who chose their addresses to meet in one chain would find at most all places there. */
  private chainOf(high: number, low: number): number {
    let mixed = Math.imul(high, 0x9e3779b1) ^ low;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) & (this.chains.length - 1);
  }

  /** Puts a new place, whose count is 0, where it belongs in the heap. */
  private rise(place: number): void {
    let index = place;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      this.put(index, this.heap[parent] ?? 0);
      index = parent;
    }
    this.put(0, place);
  }

  /** Moves a place whose count has grown down the heap. */
  private sink(from: number, place: number): void {
    const { counts, heap, size } = this;
    const count = counts[place] ?? 0;
    let index = from;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= size) break;
      if (child + 1 < size && (counts[heap[child + 1] ?? 0] ?? 0) < (counts[heap[child] ?? 0] ?? 0))
        child += 1;
      const smaller = heap[child] ?? 0;
      if ((counts[smaller] ?? 0) >= count) break;
      this.put(index, smaller);
      index = child;
    }
    this.put(index, place);
  }

  private put(index: number, place: number): void {
    this.heap[index] = place;
    this.heapIndex[place] = index;
  }
}
