/** An address as 16-bit words in network order: two for IPv4, eight for IPv6. */
export type AddressWords = readonly number[];

/** One address, or a block of them, in the form that look-ups compare. */
export interface AddressRange {
  /** The range's first address. */
  readonly words: AddressWords;
  /** How many leading bits count: 0 to 32 for IPv4, 0 to 128 for IPv6. */
  readonly prefixLength: number;
  /** Canonical text: `203.0.113.7`, `2001:db8:4::/64`; a single address has no `/`. */
  readonly text: string;
  /** Whether the range is one address. */
  readonly single: boolean;
}

/** The widest blocks that an inventory may claim for one VPS; a wider one is a slip or an attack. */
export const widestPrefixLength = { ipv4: 16, ipv6: 32 } as const;

const ipv4Bits = 32;
const mappedBits = 96;
/** The longest text of an IPv6 address, with an IPv4 address at its end. */
const longestAddress = 45;

/**
 * Reads one address, as an access log writes it. IPv4-mapped IPv6 (`::ffff:203.0.113.7`) is folded into
 * IPv4: a gateway that listens on `::` writes IPv4 clients that way.
 *
 * Own code, where a library would do: it runs for every record of an unknown caller, and ipaddr.js takes 80 µs for one
 * IPv6 address, which is enough to drown in a flood. The tests compare the two.
 * @returns undefined when the text is no IPv4 or IPv6 address (zone ids and octal or short IPv4 included).
 */
export function parseAddress(text: string): AddressWords | undefined {
  if (text.length > longestAddress) return undefined;
  if (!text.includes(":")) return parseIPv4(text);
  const words = parseIPv6(text);
  const mapped = words?.[5] === 0xffff && words.slice(0, 5).every((word) => word === 0);
  return mapped ? words.slice(6) : words;
}

/**
 * Whether an address is one that the Internet does not carry: private (RFC 1918, RFC 4193), shared (RFC 6598, which EKS
 * gives to pods), loopback or link-local. https://www.iana.org/assignments/iana-ipv4-special-registry
 */
export function isPrivate(words: AddressWords): boolean {
  const [first = 0] = words;
  if (words.length > 2)
    return (
      (first & 0xfe00) === 0xfc00 ||
      (first & 0xffc0) === 0xfe80 ||
      words.every((word, index) => word === (index === 7 ? 1 : 0))
    );
  const [high, low] = [first >> 8, first & 0xff];
  return (
    high === 10 ||
    high === 127 ||
    (high === 172 && (low & 0xf0) === 16) ||
    (high === 192 && low === 168) ||
    (high === 100 && (low & 0xc0) === 64) ||
    (high === 169 && low === 254)
  );
}

/** The canonical text of an address: dotted decimal, or IPv6 as RFC 5952 has it. */
export function formatAddress(words: AddressWords): string {
  if (words.length === 2) return words.flatMap((word) => [word >> 8, word & 0xff]).join(".");
  const text = words.map((word) => word.toString(16)).join(":");
  // The longest run of two or more zero words becomes "::", the first one when several are as long.
  const runs = [...text.matchAll(/\b0(?::0)+\b/g)];
  const [longest] = runs.sort((a, b) => b[0].length - a[0].length || a.index - b.index);
  if (longest === undefined) return text;
  const before = text.slice(0, longest.index).replace(/:$/, "");
  const after = text.slice(longest.index + longest[0].length).replace(/^:/, "");
  return `${before}::${after}`;
}

/**
 * Reads an address or CIDR block of an inventory, strictly.
 * @returns the range, or a sentence that says what is allowed instead.
 */
export function parseRange(text: string): AddressRange | string {
  const [addressText = "", prefixText, ...rest] = text.split("/");
  const asked = parseAddress(addressText);
  if (asked === undefined || rest.length > 0) {
    return "must be an IPv4 address, an IPv6 address, or a CIDR block of either";
  }
  const bits = asked.length * 16;
  const folded = bits === ipv4Bits && addressText.includes(":") ? mappedBits : 0;
  let prefixLength = bits;
  if (prefixText !== undefined) {
    if (!/^(0|[1-9]\d{0,2})$/.test(prefixText) || Number(prefixText) > bits + folded) {
      return `must have a prefix length from 0 to ${bits + folded} after the "/"`;
    }
    prefixLength = Math.max(0, Number(prefixText) - folded);
  }
  const widest = bits === ipv4Bits ? widestPrefixLength.ipv4 : widestPrefixLength.ipv6;
  if (prefixLength < widest)
    return `must not be wider than /${widest}: one VPS does not own so many addresses`;
  const words = maskWords(asked, prefixLength);
  const single = prefixLength === bits;
  const canonical = formatAddress(words);
  if (formatAddress(asked) !== canonical) {
    return `must not set bits beyond the prefix: write ${canonical}/${prefixLength}, or the one address without "/"`;
  }
  if (isNobody(words))
    return "must be an address that a client can have, not an unspecified, broadcast or multicast one";
  return { words, prefixLength, single, text: single ? canonical : `${canonical}/${prefixLength}` };
}

/** The address with every bit after the prefix set to zero. */
export function maskWords(words: AddressWords, prefixLength: number): AddressWords {
  return words.map((word, index) => {
    const bits = Math.min(16, Math.max(0, prefixLength - index * 16));
    return word & (0xffff << (16 - bits)) & 0xffff;
  });
}

function parseIPv4(text: string): AddressWords | undefined {
  let address = 0;
  let octet = -1;
  let octets = 0;
  for (let position = 0; position <= text.length; position += 1) {
    const code = position < text.length ? text.charCodeAt(position) : 0x2e;
    if (code === 0x2e) {
      if (octet < 0) return undefined;
      address = address * 256 + octet;
      octets += 1;
      octet = -1;
    } else {
      // "07" is refused: some read it as octal, some do not.
      if (code < 0x30 || code > 0x39 || octet === 0) return undefined;
      octet = (octet < 0 ? 0 : octet * 10) + code - 0x30;
      if (octet > 255) return undefined;
    }
  }
  return octets === 4 ? [Math.floor(address / 0x10000), address & 0xffff] : undefined;
}

function parseIPv6(text: string): AddressWords | undefined {
  const words: number[] = [];
  let gap = text.startsWith("::") ? 0 : -1;
  let position = gap === 0 ? 2 : 0;
  while (position < text.length) {
    const start = position;
    let word = 0;
    for (let digit = hexDigit(text, position); digit >= 0; digit = hexDigit(text, position)) {
      word = word * 16 + digit;
      position += 1;
    }
    if (text[position] === ".") {
      const last = parseIPv4(text.slice(start));
      if (last === undefined) return undefined;
      words.push(...last);
      break;
    }
    if (position === start || position - start > 4) return undefined;
    words.push(word);
    if (position === text.length) break;
    if (text[position] !== ":") return undefined;
    position += 1;
    if (text[position] === ":") {
      if (gap >= 0) return undefined;
      gap = words.length;
      position += 1;
    } else if (position === text.length) return undefined;
  }
  if (gap < 0) return words.length === 8 ? words : undefined;
  // "::" stands for at least one word.
  if (words.length > 7) return undefined;
  return [...words.slice(0, gap), ...new Array<number>(8 - words.length).fill(0), ...words.slice(gap)];
}

/** The digit's value; -1 when there is none at this position. */
function hexDigit(text: string, position: number): number {
  const code = position < text.length ? text.charCodeAt(position) : 0;
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lowerCase = code | 0x20;
  return lowerCase >= 0x61 && lowerCase <= 0x66 ? lowerCase - 0x61 + 10 : -1;
}

function isNobody(words: AddressWords): boolean {
  const first = words[0] ?? 0;
  const multicast = words.length === 2 ? first >= 0xe000 && first < 0xf000 : first >= 0xff00;
  return (
    multicast ||
    words.every((word) => word === 0) ||
    (words.length === 2 && words.every((word) => word === 0xffff))
  );
}
