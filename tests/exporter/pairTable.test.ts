import { PairTable } from "../../exporter/pairTable";

/** A pair of texts as a message holds them, somewhere and not aligned. */
function place(first: string, second: string) {
  const bytes = Buffer.from(`xyz${first}?${second}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const start1 = 3;
  const end1 = start1 + Buffer.byteLength(first);
  return [view, start1, end1, end1 + 1, bytes.length] as const;
}

type Place = ReturnType<typeof place>;
const find = (table: PairTable, pair: Place) => table.find(table.hashOf(...pair), ...pair);
const set = (table: PairTable, pair: Place, value: number) =>
  table.set(table.hashOf(...pair), ...pair, value);

test("a pair is found by its bytes alone, and nothing else is", () => {
  const table = new PairTable(1_024);
  const pairs = ["", "a", "ab", "abc", "abcd", "abcde", "2001:db8:4:0:ffff:ffff:ffff:ffff"].flatMap((first) =>
    ["", "1", "12345", "123456789"].map((second) => [first, second] as const),
  );
  for (const [first, second] of pairs) expect(find(table, place(first, second))).toBe(-1);
  pairs.forEach(([first, second], value) => set(table, place(first, second), value));
  pairs.forEach(([first, second], value) => expect(find(table, place(first, second))).toBe(value));
  for (const [first, second] of [
    ["b", ""],
    ["ab", "c1"],
    ["", "a"],
    ["abcd\0", ""],
    ["abcf", "12345"],
    ["abcd", "12346"],
  ] as const) {
    expect(find(table, place(first, second))).toBe(-1);
  }
});

test("a full table forgets, and never mistakes one pair for another", () => {
  const table = new PairTable(64);
  for (let value = 0; value < 10_000; value += 1) set(table, place(`10.0.${value}`, String(value)), value);
  let remembered = 0;
  for (let value = 0; value < 10_000; value += 1) {
    const found = find(table, place(`10.0.${value}`, String(value)));
    expect([value, -1]).toContain(found);
    if (found === value) remembered += 1;
  }
  expect(remembered).toBeGreaterThan(0);
  expect(remembered).toBeLessThanOrEqual(64);
});

test("a pair that does not fit an entry is not remembered", () => {
  const table = new PairTable(64);
  set(table, place("x".repeat(48), "12345"), 1);
  expect(find(table, place("x".repeat(48), "12345"))).toBe(-1);
  set(table, place("x".repeat(48), "1234"), 1);
  expect(find(table, place("x".repeat(48), "1234"))).toBe(1);
});
