import { isIP } from "node:net";
import { formatAddress, maskWords, parseAddress } from "../../exporter/identify/address";
import { SeededRandom } from "./random";

/** The same question asked of Node: whether it is an address, and how the URL standard writes it. */
function canonical(text: string): string | undefined {
  if (isIP(text) === 0 || text.includes("%")) return undefined;
  if (isIP(text) === 4) return text;
  const written = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(written) ?? [];
  if (high === undefined || low === undefined) return written;
  const bytes = Buffer.from(high.padStart(4, "0") + low.padStart(4, "0"), "hex");
  return [...bytes].join(".");
}

function ours(text: string): string | undefined {
  const words = parseAddress(text);
  return words === undefined ? undefined : formatAddress(words);
}

test.each([
  "203.0.113.7",
  "0.0.0.0",
  "255.255.255.255",
  "256.0.0.1",
  "1.2.3",
  "1.2.3.4.5",
  "1..2.3",
  "01.2.3.4",
  "1.2.3.4 ",
  "::",
  "::1",
  "1::",
  "2001:db8::1:0:0:1",
  "2001:0:0:1:0:0:0:1",
  "1:2:3:4:5:6:7:8",
  "1:2:3:4:5:6:7::",
  "::2:3:4:5:6:7:8",
  "1:2:3:4:5:6:7:8::",
  "1:2:3:4:5:6:7",
  "1:2:3:4:5:6:7:8:9",
  "::1.2.3.4",
  "::ffff:1.2.3.4",
  "::ffff:1.2.3.256",
  "1:2:3:4:5:6:1.2.3.4",
  "1:2:3:4:5:6:7:1.2.3.4",
  "1.2.3.4::",
  "::1.2.3.4:1",
  "64:ff9b::1.2.3.4",
  ":::",
  ":1",
  "1:",
  ":",
  "::1::",
  "12345::",
  "g::",
  "fe80::1%eth0",
  "FE80::ABCD",
  "[::1]",
  "",
])("%j is read as Node reads it", (text) => {
  expect(ours(text)).toBe(canonical(text));
});

test("20,000 texts that look like addresses are read as Node reads them", () => {
  const random = new SeededRandom(3);
  let right = 0;
  for (let turn = 0; turn < 20_000; turn += 1) {
    const parts = Array.from({ length: 1 + random.below(9) }, () =>
      random.pick<() => string>([
        () => "0",
        () => "",
        () => random.below(0x10000).toString(16),
        () => random.below(300).toString(),
        () => `${random.below(256)}.${random.below(256)}.${random.below(256)}.${random.below(258)}`,
      ])(),
    );
    const text = parts.join(random.pick([":", ":", ":", "::", "."]));
    const expected = canonical(text);
    if (expected !== undefined) right += 1;
    if (ours(text) !== expected)
      throw new Error(`${text}: ${ours(text) ?? "refused"} instead of ${expected ?? "refused"}`);
  }
  // Otherwise the comparison would be one of refusals.
  expect(right).toBeGreaterThan(500);
});

test("a mask keeps the leading bits", () => {
  const words = [0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff];
  for (let length = 0; length <= 128; length += 1) {
    const bits = maskWords(words, length)
      .map((word) => word.toString(2).padStart(16, "0"))
      .join("");
    expect(bits).toBe("1".repeat(length).padEnd(128, "0"));
  }
});
