import { freshFrame, readBatch } from "../../bench/batch";
import { collectorConfig, mtailProgram } from "../../bench/counting/configurations";

import { decodeBatch } from "../../exporter/receive/decode";
import { accessRecord, encodeAnything, encodeRequest } from "../exporter/otlp";

test("a recorded batch's records are counted, and only its first time changes", () => {
  const message = encodeRequest([accessRecord({}, 1_700_000_000), accessRecord({}, 1_700_000_001)]);
  const batch = readBatch(message);
  expect(batch.records).toBe(2);
  const frame = freshFrame(batch, 1_000_000);
  expect([frame[0], frame.readUInt32BE(1), frame.length]).toEqual([0, message.length, message.length + 5]);
  const changed = frame.subarray(5);
  expect(decodeBatch(changed).size).toBe(2);
  expect(changed.equals(message)).toBe(false);
  expect(freshFrame(batch, 0).subarray(5).equals(message)).toBe(true);
  expect(changed.readBigUInt64LE(batch.timeAt)).toBe(1_700_000_000_001_000_000n);
});

test("a batch without a timed record cannot be replayed", () => {
  expect(() => readBatch(encodeAnything({ resourceLogs: [] }))).toThrow(RangeError);
});

test("mtail's expression reads the fields in the order in which Envoy wrote them", () => {
  const line =
    '{"client_address":"203.0.113.7","method":"GET","x":"-","code":304,' +
    '"path":"/api/v1/server/UniProxy/config"}';
  const expression = /^\/(.*)\/ \{$/m.exec(mtailProgram(line))?.[1] ?? "";
  // Go names groups (?P<…>), JavaScript (?<…>).
  const groups = new RegExp(expression.replaceAll("(?P<", "(?<")).exec(line)?.groups;
  expect(groups).toEqual({
    client_address: "203.0.113.7",
    method: "GET",
    code: "304",
    path: "/api/v1/server/UniProxy/config",
  });
});

test("the Collector counts by client, method, path and code, with deltas added up or not", () => {
  const { connectors, service } = collectorConfig(4317, 9464, true);
  expect(connectors.signal_to_metrics.logs[0]?.attributes).toEqual(
    ["client_address", "method", "path", "code"].map((key) => ({ key })),
  );
  expect(service.pipelines.metrics.processors).toEqual(["deltatocumulative"]);
  expect(collectorConfig(4317, 9464, false).service.pipelines.metrics.processors).toEqual([]);
});
