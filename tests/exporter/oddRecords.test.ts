import { parseInventory } from "../../exporter/identify/inventory";
import { renderMeasurements } from "../../exporter/measure/exposition";
import { Measurements } from "../../exporter/measure/measurements";
import { checkedFields, fieldFaults, unknownReasons } from "../../exporter/measure/tally";
import { decodeBatch } from "../../exporter/receive/decode";
import { accessRecordAttributes } from "../../exporter/receive/fields";
import type { LogRecord } from "./otlp";
import { accessRecord, encodeRequest } from "./otlp";
import { parseExposition, select, valueOf } from "./samples";

/** The table of docs/records.md, by way of the wire, as far as no other test has it. */

const now = 1_700_000_000;
const fleet = parseInventory(
  JSON.stringify({
    vps: [
      {
        name: "jp-004",
        region: "jp",
        addresses: ["203.0.113.7", "2001:db8::4"],
        nodeIds: ["12"],
        provider: "x",
      },
    ],
  }),
  "test",
);

/** A record of which some attributes come again, with other values. */
const withMore = (more: Partial<Record<keyof typeof accessRecordAttributes, string | Buffer>>): LogRecord => {
  const record = accessRecord({}, now - 1);
  const attributes = Object.entries(more).map(([field, value]) => ({
    key: accessRecordAttributes[field as keyof typeof accessRecordAttributes],
    value: typeof value === "string" ? { stringValue: value } : { bytesValue: value },
  }));
  return { ...record, attributes: [...(record["attributes"] as unknown[]), ...attributes] };
};

/** Counts one record. @returns the one request's labels, and all that was noted about it. */
function count(record: LogRecord) {
  const measurements = new Measurements();
  measurements.setInventory(fleet);
  // Envoy writes what bytes it has; protobufjs would write a text that is no UTF-8 another way.
  const message = encodeRequest([record]);
  for (let at = message.indexOf("\u0001BAD"); at >= 0; at = message.indexOf("\u0001BAD")) message[at] = 0xff;
  const batch = decodeBatch(message);
  measurements.count(batch, now);
  const exposition = parseExposition(
    Array.from(renderMeasurements(measurements), (piece) => Buffer.from(piece).toString()).join(""),
  );
  const requests = select(exposition, "vps_requests_total").filter(({ value }) => value > 0);
  const { vps = "", endpoint = "", method = "", code = "" } = requests[0]?.labels ?? {};
  const { tally } = measurements;
  return {
    requests: requests.length,
    request: `${vps} ${endpoint} ${method} ${code}`,
    lastSeen: valueOf(exposition, "vps_last_request_timestamp_seconds", { vps }),
    notes: [
      ...checkedFields.flatMap((field) =>
        fieldFaults.filter((fault) => tally.faultCount(field, fault) > 0).map((fault) => `${field} ${fault}`),
      ),
      ...unknownReasons.filter((reason) => tally.unknown[reason] > 0),
    ],
  };
}

const change = (fields: Parameters<typeof accessRecord>[0]) => accessRecord(fields, now - 1);

test.each<[string, LogRecord, string, readonly string[]]>([
  ["IPv4-mapped IPv6", change({ clientAddress: "::ffff:203.0.113.7" }), "jp-004 config GET 304", []],
  ["its hexadecimal form", change({ clientAddress: "::FFFF:cb00:7107" }), "jp-004 config GET 304", []],
  ["IPv6 in full", change({ clientAddress: "2001:0DB8:0:0:0:0:0:4" }), "jp-004 config GET 304", []],
  ...["2001:db8::4%eth0", "203.0.113.7:443", "[2001:db8::4]:443", "203.0.113.07", "client", "-", ""].map(
    (clientAddress): [string, LogRecord, string, string[]] => [
      `the address ${JSON.stringify(clientAddress)}`,
      change({ clientAddress }),
      "unknown config GET 304",
      ["no_address"],
    ],
  ),
  ["a path with a query", change({ path: "/api/v2/server/push?token=x" }), "jp-004 push GET 304", []],
  ["a long path", change({ path: `/api/v2/server/push${"/".repeat(128)}` }), "jp-004 other GET 304", []],
  ["an unknown path", change({ path: "/wp-login.php" }), "jp-004 other GET 304", []],
  ["a path that is not UTF-8", change({ path: "/api/v2/server/push\u0001BAD" }), "jp-004 other GET 304", []],
  ["a method in lower case", change({ method: "get" }), "jp-004 config other 304", []],
  ["an unknown method", change({ method: "BREW" }), "jp-004 config other 304", []],
  ["code 0", change({ code: "0" }), "jp-004 config GET 0", []],
  ["no code", change({ code: "-" }), "jp-004 config GET 0", ["code missing"]],
  ...["99", "600", "OK"].map((code): [string, LogRecord, string, string[]] => [
    `code ${code}`,
    change({ code }),
    "jp-004 config GET 0",
    ["code invalid"],
  ]),
  [
    "durations and bytes that are empty",
    change({ durationMilliseconds: "", requestBytes: "-", responseBytes: undefined }),
    "jp-004 config GET 304",
    ["duration missing", "request_bytes missing", "response_bytes missing"],
  ],
  [
    "another line",
    { ...change({}), body: { stringValue: "hello" } },
    "jp-004 other other 0",
    ["code missing", "duration missing", "request_bytes missing", "response_bytes missing"],
  ],
  [
    "no line",
    { ...change({}), body: { intValue: 1 } },
    "jp-004 other other 0",
    ["code missing", "duration missing", "request_bytes missing", "response_bytes missing"],
  ],
  ["a space in the path", change({ path: "/api/v2/server/push /x" }), "jp-004 other GET 304", []],
  ["a space in the method", change({ method: "GET /" }), "jp-004 other GET 0", ["code invalid"]],
  [
    "durations and bytes out of range",
    change({ durationMilliseconds: "86400001", requestBytes: "-1", responseBytes: "1099511627777" }),
    "jp-004 config GET 304",
    ["duration invalid", "request_bytes invalid", "response_bytes invalid"],
  ],
  [
    "an attribute twice",
    withMore({ clientAddress: "198.51.100.1" }),
    "unknown config GET 304",
    ["not_in_inventory"],
  ],
  [
    "another kind of value the second time",
    withMore({ clientAddress: Buffer.from("x") }),
    "jp-004 config GET 304",
    [],
  ],
])("%s", (_name, record, request, notes) => {
  expect(count(record)).toMatchObject({ requests: 1, request, notes, lastSeen: now - 1 });
});

test.each([
  ["before 1970, which is the far future on the wire", "18446744073709551615", now, ["time invalid"]],
  ["in the future", `${now + 1}000000000`, now, ["time invalid"]],
  ["0", "0", now, ["time missing"]],
  ["long past", "1000000000", 1, []],
])("a time that is %s", (_name, timeUnixNano, lastSeen, notes) => {
  const record = { ...accessRecord(), timeUnixNano };
  expect(count(record)).toMatchObject({ requests: 1, request: "jp-004 config GET 304", lastSeen, notes });
});
