import { decodeBatch } from "../../exporter/receive/decode";
import { RecentBatches } from "../../exporter/receive/recentBatches";
import { accessRecord, encodeRequest } from "./otlp";

const minute = 60_000;

test("the same bytes are known for ten minutes", () => {
  let now = 0;
  const recent = new RecentBatches(() => now);
  const message = encodeRequest([accessRecord(), accessRecord()]);
  expect(recent.has(decodeBatch(message))).toBe(false);
  recent.add(decodeBatch(message));
  now = 10 * minute;
  expect(recent.has(decodeBatch(Buffer.from(message)))).toBe(true);
  now += 1;
  expect(recent.has(decodeBatch(message))).toBe(false);
});

test.each([
  ["a value", { durationMilliseconds: "13" }, 1_700_000_000],
  ["a time", {}, 1_700_000_000.001],
])("%s that differs makes another batch", (_name, fields, time) => {
  const recent = new RecentBatches();
  recent.add(decodeBatch(encodeRequest([accessRecord({}, 1_700_000_000)])));
  expect(recent.has(decodeBatch(encodeRequest([accessRecord(fields, time)])))).toBe(false);
});

test("without any time two equal batches are two", () => {
  const recent = new RecentBatches();
  const message = encodeRequest([{ ...accessRecord(), timeUnixNano: 0 }]);
  recent.add(decodeBatch(message));
  expect(recent.has(decodeBatch(message))).toBe(false);
});

test("the oldest are forgotten when there are too many", () => {
  const recent = new RecentBatches(() => 0);
  const messages = Array.from({ length: 32_769 }, (_, turn) =>
    turn % 32_768 === 0 ? encodeRequest([accessRecord()]) : undefined,
  );
  const filler = encodeRequest([accessRecord()]);
  const at = filler.indexOf("203.0.113.7");
  messages.forEach((message, turn) => {
    filler.writeUInt32LE(turn, at);
    recent.add(decodeBatch(message ?? filler));
  });
  const known = [0, 32_768].map((turn) => recent.has(decodeBatch(messages[turn] ?? Buffer.alloc(0))));
  expect(known).toEqual([false, true]);
});
