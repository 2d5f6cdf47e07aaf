import { mkdtempSync, rmSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { buildExporter } from "../../exporter/build";
import { limits } from "../../exporter/receive/limits";
import { maxConnections } from "../../exporter/serve/http";
import type { Attack } from "./attackers";
import { Attackers, httpAttacks, otlpAttacks } from "./attackers";
import { accessRecord, encodeRequest, OtlpClient } from "./otlp";
import { RunningExporter, until } from "./running";

/**
 * The built exporter under attack, while one gateway sends and one Prometheus scrapes. That they are served is exact; how
 * quickly is only bounded widely, as a test shares its machine: `make bench` measures.
 */
const attackMilliseconds = 1_000;
/** However slow the machine is, so many batches of the gateway fall into an attack. */
const leastBatches = 10;
const mostMilliseconds = 5_000;
/** `exporter.resources.memoryLimit`: with more, the pod would be killed. */
const mostMebibytes = 512;

/** As many VPSes as make a scrape larger than what the kernel keeps for a client that does not read. */
const inventory = `vps: [${Array.from(
  { length: 300 },
  (_, index) => `{ name: jp-${index}, region: jp, addresses: [203.0.${113 + (index >> 8)}.${index & 255}] }`,
).join(", ")}]`;

let folder = "";
let running: RunningExporter;
let ports: Awaited<ReturnType<RunningExporter["started"]>>;
let gateway: OtlpClient;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vpsight-hostile-"));
  await buildExporter(join(folder, "exporter.cjs"));
  running = new RunningExporter(join(folder, "exporter.cjs"), inventory);
  ports = await running.started();
  gateway = new OtlpClient(ports.otlpPort);
}, 30_000);

afterAll(async () => {
  gateway.close();
  await running.remove();
  rmSync(folder, { recursive: true });
});

/** A whole scrape over a connection of its own, as after a restart of Prometheus. */
function scrape(): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { port: ports.httpPort, host: "127.0.0.1", path: "/metrics", agent: false };
    const request = get(options, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.on("error", reject).on("end", () => {
        if (response.statusCode === 200 && response.complete) resolve(text);
        else reject(new Error(`a scrape came to ${response.statusCode} and ${text.length} characters`));
      });
    });
    request.on("error", reject);
  });
}

// Lines rather than `parseExposition`, which would take most of the test's time.
const sumOf = (exposition: string, line: RegExp) =>
  [...exposition.matchAll(line)].reduce((sum, [, value]) => sum + Number(value), 0);
const counted = (exposition: string) => sumOf(exposition, /^vps_requests_total\{vps="jp-7",.*\} (\d+)$/gm);
const incomplete = (exposition: string) =>
  sumOf(exposition, /^vpsight_exporter_batch_rejected_total\{reason="incomplete"\} (\d+)$/gm);

/** Sends and scrapes while an attack goes on; all of it must be served. */
async function duringAttack(port: number, mostConnections: number, attack: Attack): Promise<void> {
  const { connections, endsConnections = false, incomplete: expected = 0 } = attack;
  const before = await scrape();
  const attackers = new Attackers(port, attack);
  let [sent, slowest] = [0, 0];
  const timed = async (action: Promise<unknown>) => {
    const started = performance.now();
    await action;
    slowest = Math.max(slowest, performance.now() - started);
  };
  const send = async (client: OtlpClient) => {
    await timed(client.send(encodeRequest([accessRecord()])));
    sent += 1;
  };
  const underWay = () =>
    attackers.begun < connections ||
    attackers.begun - attackers.ended > mostConnections ||
    (endsConnections && attackers.ended === 0);
  try {
    for (
      const end = Date.now() + attackMilliseconds;
      Date.now() < end || sent < leastBatches || underWay();
    ) {
      // Before those go that say nothing, which would hide that there are too many.
      if (Date.now() > end + 7_000) throw new Error(`${attackers.begun} began, ${attackers.ended} ended`);
      await send(gateway);
      await delay(5);
      if (sent % 5 !== 0) continue;
      await timed(scrape());
      // A gateway's new worker gets in, too.
      const another = new OtlpClient(ports.otlpPort);
      await send(another);
      another.close();
    }
  } finally {
    attackers.stop();
  }
  const least = expected === "some" ? 1 : attackers.begun * expected;
  let after = await scrape();
  await until(async () => incomplete((after = await scrape())) - incomplete(before) >= least, 10_000);
  if (expected !== "some") expect(incomplete(after) - incomplete(before)).toBe(least);
  expect(counted(after) - counted(before)).toBe(sent);
  expect(slowest).toBeLessThan(mostMilliseconds);
  expect(running.peakMebibytes).toBeLessThan(mostMebibytes);
}

const testMilliseconds = 30_000;

test.each(Object.entries(otlpAttacks))(
  "%s: a gateway and a scraper are served",
  (_name, attack) => duringAttack(ports.otlpPort, limits.connections, attack),
  testMilliseconds,
);

test.each(Object.entries(httpAttacks))(
  "%s: a gateway and a scraper are served",
  (_name, attack) => duringAttack(ports.httpPort, maxConnections, attack),
  testMilliseconds,
);
