import { status } from "@grpc/grpc-js";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http2";
import { connect } from "node:http2";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BundleSizeError, buildExporter, bundleExporter } from "../../exporter/build";
import { createLog } from "../../exporter/log";
import { resolveEverywhere } from "../../exporter/listen";
import { exportPath } from "../../exporter/receive/server";
import { accessRecordAttributes, accessRecordLine } from "../../exporter/receive/fields";
import { accessRecord, encodeRequest, OtlpClient } from "./otlp";
import { RunningExporter, until } from "./running";
import { sumOf, valueOf } from "./samples";

const fleet = (...names: readonly string[]) =>
  JSON.stringify({
    vps: names.map((name, index) => ({ name, region: "jp", addresses: [`203.0.113.${index + 7}`] })),
  });

let folder = "";
let bundle = "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vpsight-bundle-"));
  bundle = join(folder, "exporter.cjs");
  await buildExporter(bundle);
});

afterAll(() => rmSync(folder, { recursive: true }));

interface Started {
  readonly running: RunningExporter;
  readonly client: OtlpClient;
  readonly otlpPort: number;
}

/** A test with an exporter of its own. They mostly wait, so they run side by side. */
function exporterTest(
  name: string,
  inventory: string | undefined,
  flags: readonly string[],
  body: (started: Started) => Promise<void>,
): void {
  const run = async () => {
    const running = new RunningExporter(bundle, inventory, ...flags);
    let client: OtlpClient | undefined;
    try {
      const { otlpPort } = await running.started();
      client = new OtlpClient(otlpPort);
      await body({ running, client, otlpPort });
    } finally {
      client?.close();
      await running.remove();
    }
  };
  test.concurrent(name, run, 30_000);
}

describe("the bundle", () => {
  test("says so when it does not fit a ConfigMap", async () => {
    const tooLarge = bundleExporter(1_000);
    await expect(tooLarge).rejects.toThrow(BundleSizeError);
    await expect(tooLarge).rejects.toThrow(/has \d+ bytes; at most 1000 fit a ConfigMap/);
  });

  test("is the same for the same sources, and names no place of this machine", async () => {
    const text = readFileSync(bundle, "utf8");
    // Compared outside expect(), which would print both.
    expect((await bundleExporter()) === text).toBe(true);
    expect(text.includes(join(__dirname, "..", ".."))).toBe(false);
    // What a stack trace shows is readable.
    for (const name of ["Measurements=class", "function toGrpcError("])
      expect(text.includes(name)).toBe(true);
  });
});

describe("from a batch to a scrape", () => {
  exporterTest("a request is seen by name", fleet("jp-004"), [], async ({ running, client }) => {
    expect((await running.get("/readyz")).code).toBe(200);
    await client.send(
      encodeRequest([accessRecord(), accessRecord({ clientAddress: "192.0.2.1" }), { body: {} }]),
    );
    await client.failure(Buffer.from([0x0f]));
    const exposition = await running.scrape();
    expect(
      valueOf(exposition, "vps_requests_total", {
        vps: "jp-004",
        endpoint: "config",
        method: "GET",
        code: "304",
      }),
    ).toBe(1);
    expect(sumOf(exposition, "vps_requests_total")).toBe(2);
    const own = (name: string, labels = {}) => valueOf(exposition, `vpsight_exporter_${name}`, labels);
    expect(own("batches_total")).toBe(1);
    expect(own("batches_duplicate_total")).toBe(0);
    expect(own("batch_rejected_total", { reason: "malformed" })).toBe(1);
    expect(own("batch_rejected_total", { reason: "incomplete" })).toBe(0);
    expect(own("records_total", { result: "counted" })).toBe(2);
    expect(own("records_total", { result: "rejected" })).toBe(1);
    expect(own("records_rejected_total", { reason: "foreign" })).toBe(1);
    expect(own("unknown_requests_total", { reason: "not_in_inventory" })).toBe(1);
    expect(own("field_faults_total", { field: "duration", fault: "missing" })).toBe(0);
    expect(own("inventory_entries")).toBe(1);
    expect(own("build_info", { node: process.versions.node })).toBe(1);
    expect(own("process_resident_memory_bytes")).toBeGreaterThan(1e6);
  });
});

describe("the inventory", () => {
  exporterTest(
    "a VPS added, moved and removed is right within 10 s, with no restart",
    fleet("a"),
    [],
    async ({ running, client }) => {
      const send = () =>
        client.send(encodeRequest([accessRecord(), accessRecord({ clientAddress: "203.0.113.8" })]));
      const inForce = async (inventory: string, generation: number) => {
        running.setInventory(inventory);
        const current = async () => valueOf(await running.scrape(), "vpsight_exporter_inventory_generation");
        await until(async () => (await current()) === generation, 10_000);
        await send();
        return running.scrape();
      };
      await send();
      const added = await inForce(fleet("a", "b"), 2);
      expect(["a", "b", "unknown"].map((vps) => sumOf(added, "vps_requests_total", { vps }))).toEqual([
        2, 1, 1,
      ]);
      const moved = await inForce(fleet("b", "a"), 3);
      expect(["a", "b", "unknown"].map((vps) => sumOf(moved, "vps_requests_total", { vps }))).toEqual([
        3, 2, 1,
      ]);
      const removed = await inForce(fleet("b"), 4);
      expect(["b", "unknown"].map((vps) => sumOf(removed, "vps_requests_total", { vps }))).toEqual([3, 2]);
      expect(removed.samples.some(({ labels }) => labels["vps"] === "a")).toBe(false);
    },
  );

  exporterTest(
    "a wrong one leaves the last good one in force, with one line and a metric",
    fleet("a"),
    [],
    async ({ running, client }) => {
      running.setInventory("vps: [{name: A}, {name: b}]");
      await until(
        async () => valueOf(await running.scrape(), "vpsight_exporter_inventory_last_load_ok") === 0,
        5_000,
      );
      await client.send(encodeRequest([accessRecord()]));
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      const exposition = await running.scrape();
      expect(sumOf(exposition, "vps_requests_total", { vps: "a" })).toBe(1);
      expect(valueOf(exposition, "vpsight_exporter_inventory_load_errors_total", { source: "file" })).toBe(1);
      expect(valueOf(exposition, "vpsight_exporter_inventory_generation")).toBe(1);
      expect((await running.get("/readyz")).code).toBe(200);
      const lines = running.events.filter(({ event }) => event === "inventory not usable");
      expect(lines).toHaveLength(1);
      expect(lines[0]?.["problem"]).toMatch(/has 5 problems:\n(.*\n){4}.*$/);
      // The status names place and rule, and nothing that stands there.
      const { inventory } = JSON.parse((await running.get("/status")).text) as {
        inventory: { sources: { lastProblem: string }[] };
      };
      expect(inventory.sources[0]?.lastProblem).toMatch(
        /: vps\[0\] name: must be a DNS label .*\(and 4 more; the log has them\)$/,
      );
    },
  );

  exporterTest(
    "a missing one means alive, not ready, and records sent back to come again",
    undefined,
    [],
    async ({ running, client }) => {
      expect([(await running.get("/healthz")).code, await running.get("/readyz")]).toEqual([
        200,
        { code: 503, text: "not ready: no inventory is loaded\n" },
      ]);
      expect((await client.failure(encodeRequest([accessRecord()]))).code).toBe(status.UNAVAILABLE);
      running.setInventory(fleet("a"));
      await until(async () => (await running.get("/readyz")).code === 200, 5_000);
      await client.send(encodeRequest([accessRecord()]));
      expect(sumOf(await running.scrape(), "vps_requests_total", { vps: "a" })).toBe(1);
    },
  );
});

describe("the end", () => {
  exporterTest(
    "SIGTERM: not ready at once, a call under way finished, metrics up to the end, then exit 0",
    fleet("a"),
    ["--drain-seconds=2"],
    async ({ running, client, otlpPort }) => {
      await client.send(encodeRequest([accessRecord()]));
      // A call of which half has come when the signal does.
      const session = connect(`http://127.0.0.1:${otlpPort}`);
      const goaway = new Promise((resolve) => session.once("goaway", resolve));
      const call = session.request({
        ":method": "POST",
        ":path": exportPath,
        "content-type": "application/grpc",
        te: "trailers",
      });
      const message = encodeRequest([accessRecord()]);
      const frame = Buffer.alloc(5 + message.length);
      frame.writeUInt32BE(message.length, 1);
      message.copy(frame, 5);
      call.write(frame.subarray(0, 20));
      const answered = new Promise((resolve, reject) => {
        call
          .on("trailers", (trailers: IncomingHttpHeaders) => resolve(trailers["grpc-status"]))
          .on("error", reject)
          .resume();
      });
      await new Promise((resolve) => setTimeout(resolve, 200));

      const signalled = Date.now();
      running.signal("SIGTERM");
      await goaway;
      expect(await running.get("/readyz")).toEqual({ code: 503, text: "not ready: draining\n" });
      call.end(frame.subarray(20));
      expect(await answered).toBe("0");
      const late = new OtlpClient(otlpPort);
      expect((await late.failure(encodeRequest([accessRecord()]))).code).toBe(status.UNAVAILABLE);
      late.close();
      session.close();
      while (Date.now() < signalled + 1_600) {
        expect(sumOf(await running.scrape(), "vps_requests_total", { vps: "a" })).toBe(2);
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      expect(await running.exited).toBe(0);
      expect(Date.now() - signalled).toBeGreaterThan(1_900);
      expect(Date.now() - signalled).toBeLessThan(6_000);
    },
  );

  for (const [name, signals, code] of [
    ["a second SIGTERM", ["SIGTERM", "SIGTERM"], 143],
    ["SIGINT", ["SIGINT"], 130],
    ["SIGINT while draining", ["SIGTERM", "SIGINT"], 130],
  ] as const) {
    exporterTest(`${name} ends it at once`, fleet("a"), [], async ({ running }) => {
      for (const signal of signals) {
        running.signal(signal);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      const started = Date.now();
      expect(await running.exited).toBe(code);
      expect(Date.now() - started).toBeLessThan(3_000);
    });
  }

  test.concurrent("wrong options: exit 2, and every problem on stderr", async () => {
    const running = new RunningExporter(bundle, fleet("a"), "--drain-seconds=x", "--nope");
    expect(await running.exited).toBe(2);
    expect(running.output).toMatch(
      /^Wrong options:\n {2}--nope: .*\n {2}--drain-seconds: must be .*; got "x"\nUsage: /,
    );
    await running.remove();
  });

  test.concurrent.each(["otlp", "http"])(
    "a taken %s port: exit 1, and one line that says which",
    async (which) => {
      const taken = createServer();
      const port = await new Promise<number>((resolve) => {
        taken.listen(0, "127.0.0.1", () => {
          const address = taken.address();
          resolve(typeof address === "object" && address !== null ? address.port : 0);
        });
      });
      const running = new RunningExporter(bundle, fleet("a"), `--${which}-listen=127.0.0.1:${port}`);
      const code = await running.exited;
      taken.close();
      await running.remove();
      expect(code).toBe(1);
      const last = running.events.at(-1);
      expect(last).toMatchObject({ level: "error", event: "cannot start" });
      expect(last?.["problem"]).toMatch(
        new RegExp(`^Cannot listen on 127\\.0\\.0\\.1:${port} for ${which}: .*EADDRINUSE`, "i"),
      );
    },
  );
});

exporterTest(
  "a secret in every field of everything that is sent comes out nowhere",
  fleet("jp-004"),
  ["--drain-seconds=0"],
  async ({ running, client }) => {
    const secret = "s3cr3t-t0ken";
    const { httpPort } = await running.started();
    for (const field of [...Object.keys(accessRecordAttributes), ...accessRecordLine]) {
      const other = field === "clientAddress" ? {} : { clientAddress: "203.0.113.7" };
      await client.send(
        encodeRequest([
          accessRecord({ ...other, [field]: secret }),
          accessRecord({ ...other, [field]: `/api/v1/server/UniProxy/${secret}?token=${secret}` }),
        ]),
      );
    }
    const hidden = {
      body: { stringValue: secret },
      severityText: secret,
      attributes: [{ key: secret, value: { stringValue: secret } }],
    };
    await client.send(encodeRequest([hidden, { ...accessRecord(), ...hidden }]));
    await client.failure(
      Buffer.concat([encodeRequest([accessRecord({ path: secret })]), Buffer.from([0x0f])]),
    );
    await client.failure(Buffer.from(secret));
    await client.failure(Buffer.alloc(0), `/${secret}/${secret}`);
    await fetch(`http://127.0.0.1:${httpPort}/${secret}?token=${secret}`, { headers: { [secret]: secret } });
    const pages = await Promise.all(
      ["/", "/metrics", "/status", "/readyz", `/metrics?token=${secret}`, `/${secret}`].map((path) =>
        running.get(path),
      ),
    );
    expect(pages.map(({ code }) => code)).toEqual([200, 200, 200, 200, 200, 404]);
    running.signal("SIGTERM");
    expect(await running.exited).toBe(0);
    expect(running.events.length).toBeGreaterThan(2);
    for (const text of [running.output, ...pages.map((page) => page.text)])
      expect(text).not.toContain(secret);
  },
);

test("without IPv6, everywhere is 0.0.0.0, with one line about it", async () => {
  const lines: string[] = [];
  const log = createLog((line) => lines.push(line));
  const everywhere = { host: "::", port: 4317 };
  for (const code of ["EAFNOSUPPORT", "EADDRNOTAVAIL"]) {
    expect(await resolveEverywhere(everywhere, log, async () => code)).toEqual({
      host: "0.0.0.0",
      port: 4317,
    });
  }
  expect(lines).toHaveLength(2);
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    event: "no IPv6 on this host",
    asked: "[::]:4317",
    used: "0.0.0.0:4317",
  });
  expect(await resolveEverywhere(everywhere, log, async () => "EACCES")).toEqual(everywhere);
  expect(await resolveEverywhere({ host: "::1", port: 1 }, log, async () => "EAFNOSUPPORT")).toEqual({
    host: "::1",
    port: 1,
  });
  expect(lines).toHaveLength(2);
});
