import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { accessRecord, encodeRequest } from "../../tests/exporter/otlp";
import { readBatch } from "../batch";
import { residentMiB } from "../cpu";
import { BatchSender } from "../sender";
import { launchForFleet, type ContenderOptions } from "./contenders";
import type { Recording } from "./recording";

export interface FloodFigures {
  addresses: number;
  growthMiB: number;
  unknownSeries: number;
}

const recordsPerBatch = 200;
const chunk = 50_000;

/**
 * Resident memory that many unknown addresses, each seen once, leave behind. Before and after, the exporter has
 * taken as many records of known VPSes, has been scraped, and has collected its garbage.
 */
export async function measureUnknownFlood(
  recording: Recording,
  addresses: number,
  options: Omit<ContenderOptions, "recording">,
  onProgress: (sent: number) => void = () => undefined,
): Promise<FloodFigures> {
  const preload = join(options.directory, "collectOnSignal.cjs");
  writeFileSync(
    preload,
    'process.on("SIGUSR2", () => { for (let i = 0; i < 4; i += 1) globalThis.gc(); });\n',
  );
  const { program, otlp, http } = await launchForFleet(options, ["--expose-gc", "--require", preload]);
  const metrics = `http://127.0.0.1:${http}/metrics`;
  const known = new BatchSender(otlp, recording.batches);
  const settle = async () => {
    await known.send(addresses);
    await (await fetch(metrics)).text();
    process.kill(program.pid, "SIGUSR2");
    await delay(2_000);
    return residentMiB(program.pid);
  };
  try {
    // What any traffic from strangers costs once, such as the code for them, is no growth by their number.
    await sendStrangers(otlp, addresses, 10_000);
    const before = await settle();
    for (let first = 0; first < addresses; first += chunk) {
      await sendStrangers(otlp, first, chunk);
      onProgress(first + chunk);
    }
    const after = await settle();
    const text = await (await fetch(metrics)).text();
    const unknownSeries = text.match(/^vps_requests_total\{vps="unknown"/gm)?.length ?? 0;
    return { addresses, growthMiB: after - before, unknownSeries };
  } finally {
    known.close();
    await program.stop();
  }
}

async function sendStrangers(port: number, first: number, count: number): Promise<void> {
  const batches = Array.from({ length: count / recordsPerBatch }, (_, batch) =>
    readBatch(
      encodeRequest(
        Array.from({ length: recordsPerBatch }, (_, index) =>
          accessRecord({ clientAddress: stranger(first + batch * recordsPerBatch + index), nodeId: "-" }),
        ),
      ),
    ),
  );
  const sender = new BatchSender(port, batches);
  const sent = await sender.send(count);
  sender.close();
  if (sent !== count) throw new Error(`sent ${sent} records instead of ${count}`);
}

/** Addresses of 100.64.0.0/10, where none of the fleet is. */
const stranger = (serial: number) => `100.${64 + (serial >> 16)}.${(serial >> 8) & 255}.${serial & 255}`;
