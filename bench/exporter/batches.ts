import { accessRecord, encodeRequest } from "../../tests/exporter/otlp";
import { readBatch, type RecordedBatch } from "../batch";
import { SeededRandom } from "../../tests/exporter/random";

/** What kind of traffic a set of batches stands for. */
export interface BatchSettings {
  /** How many VPSes call; `inventoryText` of the same number names them. */
  readonly vps: number;
  /** A batch is closed when it has so many bytes, as Envoy's `buffer_size_bytes` does. Default 16 KiB. */
  readonly batchBytes?: number;
  /** How many records all batches have together, at least. Default 60,000: each of 10,000 VPSes several times. */
  readonly records?: number;
  /** Percentage of the records whose address is in a VPS's IPv6 block rather than its IPv4 address. Default 30. */
  readonly inBlocks?: number;
  /** Percentage of the records whose address is in no inventory, each a different one. Default 5. */
  readonly unknown?: number;
}

/** Each VPS has an IPv4 address, an IPv6 block and a node id, like most of a real fleet. */
export function inventoryText(vps: number): string {
  const entries = Array.from({ length: vps }, (_, index) => ({
    name: `vps-${index}`,
    region: ["jp", "hk", "us"][index % 3],
    addresses: [address4(index), `2001:db8:${index.toString(16)}::/64`],
    nodeIds: [String(index + 1)],
  }));
  return JSON.stringify({ vps: entries });
}

const address4 = (index: number) => `10.${index >> 8}.${index & 255}.1`;

/** What the five calls of a node look like: how often, how slow, how large. */
const calls: readonly [Call, ...Call[]] = [
  { path: "/api/v1/server/UniProxy/config", method: "GET", share: 30 },
  { path: "/api/v1/server/UniProxy/user", method: "GET", share: 30 },
  { path: "/api/v1/server/UniProxy/push", method: "POST", share: 20 },
  { path: "/api/v1/server/UniProxy/alive", method: "POST", share: 10 },
  { path: "/api/v1/server/UniProxy/status", method: "POST", share: 10 },
];

interface Call {
  readonly path: string;
  readonly method: string;
  /** In percent. */
  readonly share: number;
}

const codes = ["200", "200", "304", "304", "304", "304", "500", "0"] as const;

/**
 * Batches as Envoy's OTLP access logger sends them in the format of `components/gatewayAccessLog.ts`: callers in
 * random order. The same settings give the same batches.
 */
export function createBatches(settings: BatchSettings): RecordedBatch[] {
  const { vps, batchBytes = 16_384, records = 60_000, inBlocks = 30, unknown = 5 } = settings;
  const random = new SeededRandom(4);
  const batches: RecordedBatch[] = [];
  for (let made = 0; made < records;) {
    const batch = [];
    for (let bytes = 0; bytes < batchBytes; made += 1) {
      const record = createRecord(random, vps, inBlocks, unknown, made);
      batch.push(record);
      bytes += encodeRequest([record]).length - wrapperBytes;
    }
    batches.push(readBatch(encodeRequest(batch)));
  }
  return batches;
}

const wrapperBytes = encodeRequest([]).length;

function createRecord(random: SeededRandom, vps: number, inBlocks: number, unknown: number, serial: number) {
  const index = random.below(vps);
  const kind = random.below(100);
  const call = pickCall(random.below(100));
  const stranger = kind < unknown;
  return accessRecord(
    {
      clientAddress: stranger
        ? `100.${64 + ((serial >> 16) & 63)}.${(serial >> 8) & 255}.${serial & 255}`
        : kind < unknown + inBlocks
          ? `2001:db8:${index.toString(16)}::${(index & 0xff).toString(16)}:1`
          : address4(index),
      method: call.method,
      path: call.path,
      code: random.pick(codes),
      durationMilliseconds: String(random.below(random.pick([10, 40, 200, 2_000]))),
      requestBytes: call.method === "GET" ? "0" : String(random.below(5_000)),
      responseBytes: String(random.below(40_000)),
      nodeId: stranger ? "-" : String(index + 1),
    },
    1_700_000_000 + serial / 1_000,
  );
}

function pickCall(percent: number): Call {
  let rest = percent;
  return calls.find(({ share }) => (rest -= share) < 0) ?? calls[0];
}
