import { accessRecordAttributes } from "../../exporter/receive/fields";
import type { SeededRandom } from "../exporter/random";
import type { Node } from "./tree";
import { field, scalar } from "./tree";

/**
 * Requests by OTLP's grammar: every message and field of `ExportLogsServiceRequest`, in any number, as a lawful sender
 * might write them. https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/logs/v1/logs.proto
 */
export function createRequest(random: SeededRandom): Node[] {
  return several(random, 2, () => field(1, createResourceLogs(random)));
}

/** A request with so many records, all of them empty: two bytes each. */
export function createCrowd(records: number): Node[] {
  return [field(1, [field(2, Buffer.alloc(2 * records, Buffer.of(0x12, 0)))])];
}

const keys: readonly [string, ...string[]] = [
  "service.name",
  ...Object.values(accessRecordAttributes),
  ...Object.values(accessRecordAttributes),
  "",
  "iP",
  "nodes",
];

/** Values as gateways write them, and values that only a caller with bad intent can bring about. */
const texts: readonly [string, ...string[]] = [
  ...(["203.0.113.7", "2001:db8::7", "::ffff:203.0.113.7", "203.0.113.7:443", "fe80::1%eth0"] as const),
  ...["GET", "POST", "get", "-", "", "0", "99", "304", "600", "12", "-5", "1e3", "999999999999999"],
  ...[
    "9999999999999999",
    "٣",
    "NaN",
    "/api/v1/server/UniProxy/config",
    "/x?token=t",
    "/",
    "\u0000",
    "ä\u{1F600}",
  ],
];

function createResourceLogs(random: SeededRandom): Node[] {
  return [
    ...sometimes(random, () =>
      field(
        1,
        several(random, 2, () => field(1, createAttribute(random))),
      ),
    ),
    ...several(random, 2, () => field(2, createScopeLogs(random))),
    ...sometimes(random, () => field(3, "https://schema.example/1")),
  ];
}

function createScopeLogs(random: SeededRandom): Node[] {
  return [
    ...sometimes(random, () => field(1, [field(1, "envoy"), field(2, "1.40")])),
    ...several(random, 3, () => field(2, createRecord(random))),
  ];
}

function createRecord(random: SeededRandom): Node[] {
  const now = 1_700_000_000_000_000_000;
  return [
    ...sometimes(random, () => scalar(1, random.pick([now, now, 0, 1, 2 ** 63, 2 ** 64 - 2048]), 1)),
    ...sometimes(random, () => scalar(11, now, 1)),
    ...sometimes(random, () => scalar(2, random.below(25))),
    ...sometimes(random, () => field(3, "INFO")),
    ...several(random, 1, () =>
      field(5, random.below(4) === 0 ? createValue(random, 2) : createLine(random)),
    ),
    ...several(random, 9, () => field(6, createAttribute(random))),
    ...sometimes(random, () => scalar(7, random.below(3))),
    ...sometimes(random, () => scalar(8, 1, 5)),
    ...sometimes(random, () => field(9, random.bytes(16))),
    ...sometimes(random, () => field(10, random.bytes(8))),
  ];
}

/** The body of an access record, or nearly: words may be missing, or too many. */
function createLine(random: SeededRandom): Node[] {
  const words = Array.from({ length: random.below(4) === 0 ? random.below(9) : 6 }, () => random.pick(texts));
  return [field(1, words.join(" "))];
}

function createAttribute(random: SeededRandom): Node[] {
  const key = field(1, random.pick(keys));
  if (random.below(20) === 0) return [key];
  const value = field(2, createValue(random, 2));
  return random.below(8) === 0 ? [value, key] : [key, value];
}

function createValue(random: SeededRandom, depth: number): Node[] {
  switch (random.below(depth > 0 ? 14 : 10)) {
    default:
      return [field(1, random.pick(texts))];
    case 6:
      return [scalar(2, random.below(2))];
    case 7:
      return [scalar(3, random.pick([0, 12, 200, 304, -1, 2 ** 31, 2 ** 53, -(2 ** 63)]))];
    case 8:
      return [scalar(4, random.below(1_000), 1)];
    case 9:
      return random.below(2) === 0 ? [] : [field(7, random.bytes(random.below(9)))];
    case 10:
    case 11:
      return [
        field(
          5,
          several(random, 2, () => field(1, createValue(random, depth - 1))),
        ),
      ];
    case 12:
    case 13:
      return [
        field(
          6,
          several(random, 2, () =>
            field(1, [field(1, random.pick(keys)), field(2, createValue(random, depth - 1))]),
          ),
        ),
      ];
  }
}

/** None to `most`, most often one. */
function several(random: SeededRandom, most: number, create: () => Node): Node[] {
  const count = random.below(4) === 0 ? random.below(most + 1) : most > 4 ? random.below(most + 1) : 1;
  return Array.from({ length: count }, create);
}

function sometimes(random: SeededRandom, create: () => Node): Node[] {
  return random.below(3) === 0 ? [create()] : [];
}
