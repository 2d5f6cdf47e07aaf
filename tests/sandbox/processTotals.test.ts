import { sumOverProcesses, type SampledSeries } from "../../sandbox/ledger";

/** One exporter's start time and one of its counters, scraped every five seconds. */
const target = { pod: "a", instance: "10.0.0.1:9464" };
const series = { vps: "jp-001", region: "jp", endpoint: "config", method: "GET", code: "200" };
const starts = (labels: object, ...samples: [number, number][]): SampledSeries => ({
  labels: { ...target, ...labels },
  samples,
});
const requests = (labels: object, ...samples: [number, number][]): SampledSeries => ({
  labels: { ...target, ...series, ...labels },
  samples,
});

test("a process counts by its last value, one that is gone too", () => {
  const other = { pod: "b", instance: "10.0.0.2:9464" };
  expect(
    sumOverProcesses(
      [starts({}, [5, 1], [10, 1]), starts(other, [10, 8])],
      [requests({}, [5, 3], [10, 7]), requests(other, [10, 4])],
    ),
  ).toEqual([{ ...series, count: 11 }]);
});

test("a container that starts again is another process, even where its counter never fell", () => {
  const started = starts({}, [5, 1], [10, 1], [15, 12], [20, 12]);
  expect(sumOverProcesses([started], [requests({}, [5, 1], [10, 2], [15, 0], [20, 2])])).toEqual([
    { ...series, count: 4 },
  ]);
  expect(sumOverProcesses([started], [requests({}, [5, 1], [10, 2], [15, 2], [20, 2])])).toEqual([
    { ...series, count: 4 },
  ]);
});

test("an address that a later pod got is another target", () => {
  const later = { pod: "b" };
  expect(
    sumOverProcesses(
      [starts({}, [5, 1]), starts(later, [10, 1])],
      [requests({}, [5, 2]), requests(later, [10, 3])],
    ),
  ).toEqual([{ ...series, count: 5 }]);
});
