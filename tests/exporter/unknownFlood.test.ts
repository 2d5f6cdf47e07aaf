import type { ChildProcess } from "node:child_process";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Status } from "../../exporter/serve/status";
import type { MemoryReport } from "./fixtures/flooded";
import { accessRecord, encodeRequest, OtlpClient } from "./otlp";
import { parseExposition, select, sumOf } from "./samples";

const perBatch = 5_000;
const heavyPerBatch = 50;
const heavy = "198.151.100.177";

/** Batches that differ in their addresses alone, which are written into the bytes of one: four octets of three digits each. */
class Flood {
  private readonly batch = encodeRequest(
    Array.from({ length: perBatch }, (_, index) =>
      accessRecord({ clientAddress: index < heavyPerBatch ? heavy : "100.100.100.100" }),
    ),
  );
  private readonly places: number[] = [];
  private sent = 0;

  constructor() {
    const wanted = Buffer.from("100.100.100.100");
    for (let at = this.batch.indexOf(wanted); at >= 0; at = this.batch.indexOf(wanted, at + 1))
      this.places.push(at);
  }

  /** A batch of addresses that were never sent before. */
  next(): Buffer {
    for (const place of this.places) {
      let number = this.sent;
      const octets = [0, 0, 0].map(() => {
        const octet = 100 + (number % 150);
        number = Math.floor(number / 150);
        return octet;
      });
      this.batch.write(`100.${octets.join(".")}`, place, "latin1");
      this.sent += 1;
    }
    return this.batch;
  }
}

let folder = "";
let child: ChildProcess;
let ports = { otlpPort: 0, httpPort: 0 };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vpsight-flood-"));
  const inventory = join(folder, "fleet.yaml");
  writeFileSync(inventory, "vps: [{ name: jp-004, region: jp, addresses: [203.0.113.7] }]");
  child = fork(join(__dirname, "fixtures", "flooded.ts"), [inventory], {
    execArgv: ["--expose-gc", "--import", "tsx"],
  });
  [ports] = (await once(child, "message")) as [typeof ports];
}, 30_000);

afterAll(async () => {
  const ended = once(child, "exit");
  child.kill();
  await ended;
  rmSync(folder, { recursive: true });
});

async function memory(): Promise<MemoryReport> {
  const answer = once(child, "message");
  child.send("memory");
  const [report] = (await answer) as [MemoryReport];
  return report;
}

const get = async (path: string) => (await fetch(`http://127.0.0.1:${ports.httpPort}${path}`)).text();

test("a million unknown addresses: at most 10 MB more, one series set, and the heavy one among them is found", async () => {
  const client = new OtlpClient(ports.otlpPort);
  const flood = new Flood();
  const send = async (batches: number) => {
    for (let turn = 0; turn < batches; turn += 1) await client.send(flood.next());
  };
  // What the code itself needs once it has run is not the flood's.
  await send(20);
  const seriesBefore = parseExposition(await get("/metrics"));
  const before = await memory();
  const batches = Math.ceil(1_000_000 / (perBatch - heavyPerBatch));
  await send(batches);
  const after = await memory();
  client.close();

  expect((after.held - before.held) / 1e6).toBeLessThan(10);
  // The system's view, which garbage not yet collected is part of.
  expect((after.resident - before.resident) / 1e6).toBeLessThan(80);

  const text = await get("/metrics");
  const exposition = parseExposition(text);
  const unknown = { vps: "unknown" };
  expect(select(exposition, "vps_requests_total", unknown)).toHaveLength(
    select(seriesBefore, "vps_requests_total", unknown).length,
  );
  expect(sumOf(exposition, "vps_requests_total", unknown)).toBe((batches + 20) * perBatch);
  expect(sumOf(exposition, "vpsight_exporter_unknown_requests_total", {})).toBe((batches + 20) * perBatch);
  expect(text).not.toMatch(/100\.1\d\d\.1\d\d/);

  const status = JSON.parse(await get("/status")) as Status;
  const { list = [], errorBound = 0 } = status.unknown.talkers ?? {};
  expect(list).toHaveLength(100);
  const found = list.find(({ address }) => address === heavy);
  const truth = (batches + 20) * heavyPerBatch;
  expect(found?.atLeast).toBeLessThanOrEqual(truth);
  expect(found?.atMost).toBeGreaterThanOrEqual(truth);
  expect((found?.atMost ?? 0) - truth).toBeLessThanOrEqual(errorBound);
  // All the others were heard of once.
  expect(list.filter(({ atLeast }) => atLeast > 1).map(({ address }) => address)).toEqual([heavy]);
}, 120_000);

test("/status tells about inventory, receiver and unknown callers", async () => {
  const status = JSON.parse(await get("/status")) as Status;
  expect(status).toMatchObject({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
    notReady: [],
    inventory: {
      generation: 1,
      entries: 1,
      sources: [{ name: "file", ok: true, lastProblem: null, ageSeconds: expect.any(Number) as number }],
    },
    receiver: { rejected: { malformed: 0, no_inventory: 0 }, records: { rejected: 0 } },
    unknown: { requests: { no_address: 0, shared_address: 0 } },
  });
  expect(Date.parse(status.startedAt)).toBeLessThan(Date.now());
  const times = status.unknown.talkers?.list.map(({ lastSeen }) => lastSeen) ?? [];
  expect(times).toEqual([...times].sort().reverse());
});
