import { parseAddress } from "../../exporter/identify/address";
import { TopTalkers } from "../../exporter/measure/topTalkers";
import { SeededRandom } from "./random";

const addresses = (talkers: TopTalkers, most = 10) => talkers.list(most).map(({ address }) => address);

test("few callers are counted exactly, the one seen last first", () => {
  const talkers = new TopTalkers();
  for (const [seconds, address] of ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"].entries())
    talkers.add(parseAddress(address), seconds);
  expect(talkers.list(10)).toEqual([
    { address: "192.0.2.3", atMost: 1, atLeast: 1, lastSeenSeconds: 3 },
    { address: "192.0.2.1", atMost: 2, atLeast: 2, lastSeenSeconds: 2 },
    { address: "192.0.2.2", atMost: 1, atLeast: 1, lastSeenSeconds: 1 },
  ]);
  expect(talkers.errorBound).toBe(0);
  expect(addresses(talkers, 1)).toEqual(["192.0.2.1"]);
});

test("addresses are shown in canonical form, IPv6 by /64", () => {
  const talkers = new TopTalkers();
  const written = [
    "2001:DB8:0:5::1",
    "2001:db8:0:5:ffff:1:2:3",
    "2001:db8:0:6::1",
    "::ffff:192.0.2.1",
    "0.0.0.1",
    "::1",
  ];
  for (const [seconds, address] of written.entries()) talkers.add(parseAddress(address), -seconds);
  expect(talkers.list(10).map(({ address, atMost }) => [address, atMost])).toEqual([
    ["2001:db8:0:5::/64", 2],
    ["2001:db8:0:6::/64", 1],
    ["192.0.2.1", 1],
    ["0.0.0.1", 1],
    ["::/64", 1],
  ]);
});

test.each(["", "-", "x", "192.0.2.1:80", "fe80::1%eth0", "<script>", "1".repeat(1_000)])(
  "%j is no address and passed over",
  (text) => {
    const talkers = new TopTalkers();
    talkers.add(parseAddress(text), 1);
    expect(talkers.list(10)).toEqual([]);
  },
);

test("a flood from all of one /64 is one talker", () => {
  const talkers = new TopTalkers();
  for (let turn = 0; turn < 100_000; turn += 1)
    talkers.add(parseAddress(`2001:db8:0:5:${(turn >> 8).toString(16)}::${(turn & 255).toString(16)}`), turn);
  expect(talkers.list(10)).toEqual([
    { address: "2001:db8:0:5::/64", atMost: 100_000, atLeast: 100_000, lastSeenSeconds: 99_999 },
  ]);
});

/** The same by counting everybody, on callers of whom a few are heavy. */
test.each([1, 2, 3])("counts keep to their bounds, whatever the order (seed %p)", (seed) => {
  const random = new SeededRandom(seed);
  const talkers = new TopTalkers(64);
  const exact = new Map<string, number>();
  const total = 60_000;
  for (let turn = 0; turn < total; turn += 1) {
    // The square makes low numbers frequent.
    const caller = Math.floor((random.below(1_000) * random.below(1_000) * random.below(1_000)) / 1e6);
    const address =
      caller % 3 === 0
        ? `2001:db8:0:${(caller + 1).toString(16)}::/64`
        : `10.0.${caller >> 8}.${caller & 255}`;
    exact.set(address, (exact.get(address) ?? 0) + 1);
    talkers.add(parseAddress(address.replace("/64", "1")), turn);
  }
  const list = talkers.list(64);
  expect(list).toHaveLength(64);
  expect(exact.size).toBeGreaterThan(500);
  expect(talkers.errorBound).toBeLessThanOrEqual(total / 64);
  for (const { address, atMost, atLeast } of list) {
    const count = exact.get(address) ?? 0;
    expect(atLeast).toBeLessThanOrEqual(count);
    expect(atMost).toBeGreaterThanOrEqual(count);
    expect(atMost - count).toBeLessThanOrEqual(talkers.errorBound);
  }
  const followed = new Set(list.map(({ address }) => address));
  const heavy = [...exact].filter(([, count]) => count > talkers.errorBound).map(([address]) => address);
  expect(heavy.length).toBeGreaterThan(0);
  expect(heavy.filter((address) => !followed.has(address))).toEqual([]);
  // Every request is somebody's.
  expect(list.reduce((sum, { atMost }) => sum + atMost, 0)).toBe(total);
});
