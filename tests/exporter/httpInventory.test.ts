import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildExporter } from "../../exporter/build";
import { accessRecord, encodeRequest, OtlpClient } from "./otlp";
import { Plane } from "./plane";
import { RunningExporter, until } from "./running";
import type { Exposition } from "./samples";
import { sumOf, valueOf } from "./samples";

/** The built exporter, a management plane and batches over the wire. */
const token = "s3cr3t-token-of-the-plane";
const fleet = (...vps: readonly unknown[]) => JSON.stringify({ vps });
const vps = (name: string, address: string, ...nodeIds: readonly string[]) => ({
  name,
  region: "jp",
  addresses: [address],
  nodeIds,
});

let folder = "";
let bundle = "";
let plane: Plane;
let running: RunningExporter | undefined;
/** Everything that came out of the exporters. */
let output: string[] = [];

jest.setTimeout(60_000);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vpsight-http-"));
  bundle = join(folder, "exporter.cjs");
  await buildExporter(bundle);
  writeFileSync(join(folder, "token"), token);
});

afterAll(() => rmSync(folder, { recursive: true }));

beforeEach(async () => {
  rmSync(join(folder, "state"), { recursive: true, force: true });
  mkdirSync(join(folder, "state"));
  output = [];
  plane = new Plane();
  await plane.start();
});

afterEach(async () => {
  await end();
  await plane.stop();
  expect(output.join("")).not.toMatch(/s3cr3t/);
});

async function start(file: string | undefined): Promise<RunningExporter> {
  running = new RunningExporter(
    bundle,
    file,
    `--inventory-url=${plane.url.href}`,
    `--inventory-token-file=${join(folder, "token")}`,
    "--inventory-interval-seconds=5",
    `--state-directory=${join(folder, "state")}`,
  );
  await running.started();
  return running;
}

async function end(): Promise<void> {
  if (running === undefined) return;
  output.push((await running.get("/metrics")).text, (await running.get("/readyz")).text);
  running.signal("SIGINT");
  await running.exited;
  output.push(running.output);
  await running.remove();
  running = undefined;
}

async function send(
  exporter: RunningExporter,
  ...callers: readonly (readonly [string, string])[]
): Promise<Exposition> {
  const client = new OtlpClient((await exporter.started()).otlpPort);
  await client.send(
    encodeRequest(callers.map(([clientAddress, nodeId]) => accessRecord({ clientAddress, nodeId }))),
  );
  client.close();
  return exporter.scrape();
}

const ready = async (exporter: RunningExporter) => (await exporter.get("/readyz")).code === 200;
const requests = (exposition: Exposition, ...names: readonly string[]) =>
  names.map((name) => sumOf(exposition, "vps_requests_total", { vps: name }));
const health = (exposition: Exposition, name: string) =>
  valueOf(exposition, `vpsight_exporter_inventory_${name}`, { source: "http" });

test("file and plane together; a restart with the plane away; a contradiction; the plane back", async () => {
  const file = fleet(vps("a", "203.0.113.1"));
  plane.serve(fleet(vps("b", "203.0.113.2"), vps("a", "203.0.113.9")));
  let exporter = await start(file);
  await until(() => ready(exporter), 10_000);
  const first = await send(exporter, ["203.0.113.1", ""], ["203.0.113.2", ""], ["203.0.113.9", ""]);
  expect(requests(first, "a", "b", "unknown")).toEqual([1, 1, 1]);
  expect(valueOf(first, "vpsight_exporter_inventory_overridden_entries")).toBe(1);
  expect(health(first, "last_load_ok")).toBe(1);
  const confirmed = health(first, "last_success_timestamp_seconds") ?? 0;
  expect(confirmed).toBeGreaterThan(Date.now() / 1_000 - 60);
  await end();

  await plane.stop();
  exporter = await start(file);
  await until(() => ready(exporter), 10_000);
  await until(() => exporter.events.some(({ event }) => event === "inventory not usable"), 10_000);
  const second = await send(exporter, ["203.0.113.1", ""], ["203.0.113.2", ""]);
  expect(requests(second, "a", "b", "unknown")).toEqual([1, 1, 0]);
  expect(health(second, "last_load_ok")).toBe(0);
  expect(health(second, "load_errors_total")).toBe(1);
  expect(Math.abs((health(second, "last_success_timestamp_seconds") ?? 0) - confirmed)).toBeLessThan(30);
  expect(exporter.events.find(({ keptSince }) => keptSince !== undefined)).toMatchObject({ vps: 2 });

  plane.serve(fleet(vps("c", "203.0.113.1")));
  await plane.start();
  const clash = () => exporter.events.find(({ problem }) => String(problem).includes('vps[0] "c"'));
  await until(() => clash() !== undefined, 20_000);
  expect(clash()?.["problem"]).toMatch(
    /addresses: must belong to one VPS, .*; vps\[0\] "a" of .*fleet\.yaml has it too/,
  );
  expect(requests(await send(exporter, ["203.0.113.1", ""], ["203.0.113.2", ""]), "a", "b")).toEqual([2, 2]);

  plane.serve(fleet(vps("c", "203.0.113.3")));
  await until(async () => health(await exporter.scrape(), "last_load_ok") === 1, 20_000);
  const last = await send(exporter, ["203.0.113.3", ""], ["203.0.113.2", ""]);
  expect(requests(last, "a", "c", "unknown")).toEqual([2, 1, 1]);
});

test("while the plane has not answered yet, the pod is not ready and batches are to come again", async () => {
  plane.answer = (response) => response.writeHead(503).end();
  const exporter = await start(fleet(vps("a", "203.0.113.1")));
  expect(await exporter.get("/readyz")).toEqual({
    code: 503,
    text: `not ready: the inventory ${plane.url.origin}/fleet is not loaded yet\n`,
  });
  const client = new OtlpClient((await exporter.started()).otlpPort);
  await client.failure(encodeRequest([accessRecord()]));
  client.close();
  expect(
    valueOf(await exporter.scrape(), "vpsight_exporter_batch_rejected_total", { reason: "no_inventory" }),
  ).toBe(1);
  plane.serve(fleet(vps("b", "203.0.113.2")));
  await until(() => ready(exporter), 20_000);
  expect(requests(await send(exporter, ["203.0.113.2", ""]), "b")).toEqual([1]);
});

test("with the plane as the only source, two VPSes behind one address are told apart by node id", async () => {
  const nat = "203.0.113.7";
  plane.serve(fleet(vps("a", nat, "11", "12"), vps("b", nat, "13"), vps("c", "203.0.113.8", "14")));
  const exporter = await start(undefined);
  await until(() => ready(exporter), 10_000);
  const exposition = await send(
    exporter,
    [nat, "11"],
    [nat, "12"],
    [nat, "13"],
    [nat, "14"],
    [nat, ""],
    ["203.0.113.8", "99"],
  );
  expect(requests(exposition, "a", "b", "c", "unknown")).toEqual([2, 1, 1, 2]);
  const mismatches = ["a", "b", "c", "unknown"].map((name) =>
    sumOf(exposition, "vps_node_id_mismatch_total", { vps: name }),
  );
  expect(mismatches).toEqual([0, 0, 1, 1]);
  expect(valueOf(exposition, "vpsight_exporter_unknown_requests_total", { reason: "shared_address" })).toBe(
    2,
  );

  plane.serve(fleet(vps("a", nat, "11"), vps("b", nat)));
  await until(async () => health(await exporter.scrape(), "last_load_ok") === 0, 20_000);
  expect(exporter.events.at(-1)?.["problem"]).toMatch(
    /vps\[1\] "b" addresses: must belong to one VPS, or every VPS that shares it must have nodeIds/,
  );
  expect(requests(await send(exporter, [nat, "13"]), "b")).toEqual([2]);
});
