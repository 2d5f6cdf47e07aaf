import { Counters } from "../../exporter/measure/counters";

test("counts are exact beyond what four bytes hold", () => {
  const counters = new Counters(new Uint32Array(3));
  counters.add(1, 2 ** 32 - 2);
  counters.add(1);
  expect(counters.read(1)).toBe(2 ** 32 - 1);
  counters.add(1);
  expect(counters.read(1)).toBe(2 ** 32);
  counters.add(1, 2 ** 45 + 5);
  expect(counters.read(1)).toBe(2 ** 32 + 2 ** 45 + 5);
  expect([counters.read(0), counters.read(2)]).toEqual([0, 0]);
});
