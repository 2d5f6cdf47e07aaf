import { credentials, Metadata, Client } from "@grpc/grpc-js";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import protobuf from "protobufjs";
import { buildExporter } from "../../exporter/build";
import { accessRecordAttributes, accessRecordLine } from "../../exporter/receive/fields";
import { exportPath } from "../../exporter/receive/server";
import { accessRecord, encodeAnything, encodeRequest } from "./otlp";
import { RunningExporter, until } from "./running";

/**
 * A distinct secret in everything that comes in, by every way in, to the real process; then all that ever came out is
 * searched: both streams, every page, every answer and error on the wire. What a client itself is told of its own
 * connection by its own library is no output of the exporter, and not searched.
 */
const secrets: string[] = [];

/** A text that is nowhere else, and that no sanitising turns into something else: letters and digits only. */
function secret(what: string): string {
  const text = `s3cr3t${String(secrets.length).padStart(3, "0")}${what.replaceAll(/[^A-Za-z0-9]/g, "")}`;
  secrets.push(text);
  return text;
}

const inventory = (name = "jp-004") =>
  JSON.stringify({ vps: [{ name, region: "jp", addresses: ["203.0.113.7"], nodeIds: ["12"] }] });

let folder: string;
let running: RunningExporter;
let ports: { readonly otlpPort: number; readonly httpPort: number };
/** Everything that came back over a wire. */
const answers: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vpsight-bundle-"));
  const bundle = join(folder, "exporter.cjs");
  await buildExporter(bundle);
  running = new RunningExporter(bundle, inventory(), "--drain-seconds=1");
  ports = await running.started();
}, 30_000);

afterAll(async () => {
  await running.remove();
  rmSync(folder, { recursive: true });
});

/** One call with its own connection; what the server said of it is kept, whatever it is. */
function send(
  message: Buffer,
  metadata: Readonly<Record<string, string>> = {},
  path = exportPath,
): Promise<void> {
  const client = new Client(`127.0.0.1:${ports.otlpPort}`, credentials.createInsecure());
  const headers = new Metadata();
  for (const [key, value] of Object.entries(metadata)) headers.set(key, value);
  const asBytes = (bytes: Buffer) => bytes;
  return new Promise((resolve) => {
    client
      .makeUnaryRequest(
        path,
        asBytes,
        asBytes,
        message,
        headers,
        { deadline: Date.now() + 5_000 },
        (error, answer) => {
          if (error !== null) answers.push(error.details, JSON.stringify(error.metadata.getMap()));
          if (answer !== undefined) answers.push(answer.toString("latin1"));
          client.close();
          resolve();
        },
      )
      .on("metadata", (received) => answers.push(JSON.stringify(received.getMap())));
  });
}

/** One request to the metrics port, answered with headers and body. */
function ask(path: string, method = "GET", headers: Readonly<Record<string, string>> = {}): Promise<string> {
  return new Promise((resolve) => {
    const sent = request(
      { host: "127.0.0.1", port: ports.httpPort, path, method, headers, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("close", () => {
          const body = Buffer.concat(chunks);
          const text = response.headers["content-encoding"] === "gzip" ? gunzipSync(body) : body;
          answers.push(`${response.rawHeaders.join("\n")}\n${text.toString("latin1")}`);
          resolve(text.toString("utf8"));
        });
      },
    );
    sent.on("error", () => resolve(""));
    sent.end();
  });
}

/** Bytes as they are, on either port. */
function speak(port: number, bytes: string | Buffer): Promise<void> {
  return new Promise((resolve) => {
    const socket = createConnection(port, "127.0.0.1", () => socket.end(bytes));
    socket.setTimeout(2_000, () => socket.destroy());
    socket.on("data", (data) => answers.push(data.toString("latin1")));
    socket.on("error", () => undefined).on("close", () => resolve());
  });
}

/** Each page, as a scraper and as a person sees it. */
async function readPages(): Promise<void> {
  for (const path of ["/", "/metrics", "/healthz", "/readyz"]) {
    await ask(path);
    await ask(path, "GET", { "accept-encoding": "gzip" });
  }
}

const fields = [...Object.keys(accessRecordAttributes), ...accessRecordLine];
const text = (what: string) => ({ stringValue: secret(what) });

test.each(fields)("the field %s", async (field) => {
  // Known and unknown callers take different ways.
  await send(encodeRequest([accessRecord({ [field]: secret(field) })]));
  await send(encodeRequest([accessRecord({ clientAddress: "198.51.100.1", [field]: secret(field) })]));
  await send(encodeRequest([accessRecord({ [field]: secret(`${field}Long`) + "x".repeat(100_000) })]));
});

test("what looks right and is not: a token in the path, an address with more behind it, a number with more behind it", async () => {
  await send(
    encodeRequest([
      accessRecord({ path: `/api/v1/server/UniProxy/${secret("name")}` }),
      accessRecord({ path: `/api/v1/server/UniProxy/config?token=${secret("query")}` }),
      accessRecord({ clientAddress: `203.0.113.7,${secret("list")}` }),
      accessRecord({ clientAddress: `fe80::1%${secret("zone")}` }),
      accessRecord({ code: `200${secret("code")}` }),
      accessRecord({ durationMilliseconds: `1${secret("duration")}` }),
      accessRecord({ method: `GET ${secret("method")}` }),
      accessRecord({ nodeId: `12&token=${secret("claim")}` }),
    ]),
  );
});

test("everything else that OTLP has room for", async () => {
  const value = (what: string) => ({
    arrayValue: {
      values: [text(what), { kvlistValue: { values: [{ key: secret(what), value: text(what) }] } }],
    },
  });
  await send(
    encodeAnything({
      resourceLogs: [
        {
          resource: { attributes: [{ key: secret("resourceKey"), value: text("resource") }] },
          schemaUrl: secret("resourceSchema"),
          scopeLogs: [
            {
              scope: { name: secret("scopeName"), version: secret("scopeVersion") },
              schemaUrl: secret("scopeSchema"),
              logRecords: [
                {
                  ...accessRecord(),
                  severityText: secret("severity"),
                  body: text("body"),
                  traceId: Buffer.from(secret("trace")),
                  spanId: Buffer.from(secret("span")),
                },
                {
                  body: value("foreignBody"),
                  attributes: [{ key: secret("foreignKey"), value: value("foreign") }],
                },
                {
                  body: { bytesValue: Buffer.from(secret("bodyBytes")) },
                  attributes: [
                    {
                      key: accessRecordAttributes.clientAddress,
                      value: { bytesValue: Buffer.from(secret("bytes")) },
                    },
                  ],
                },
                { attributes: [{ key: accessRecordAttributes.nodeId, value: value("nested") }] },
              ],
            },
          ],
        },
      ],
    }),
  );
});

test("fields that OTLP does not know", async () => {
  const writer = protobuf.Writer.create();
  writer.uint32((99 << 3) | 2).string(secret("unknownField"));
  await send(Buffer.concat([encodeRequest([accessRecord()]), writer.finish()]));
});

test("messages that are broken, at every byte", async () => {
  const whole = encodeRequest([accessRecord({ path: secret("cut"), nodeId: secret("cutClaim") })]);
  for (let length = 1; length < whole.length; length += 7) await send(whole.subarray(0, length));
  await send(Buffer.from(secret("noProtobuf")));
  await send(Buffer.from(JSON.stringify({ resourceLogs: [{ body: secret("json") }] })));
  await send(Buffer.alloc(5 * 1024 * 1024, secret("tooLarge")));
});

test("gRPC's own headers, paths and encodings", async () => {
  const batch = encodeRequest([accessRecord()]);
  await send(batch, {
    authorization: `Bearer ${secret("bearer")}`,
    "x-panel-token": secret("metadata"),
    "user-agent": secret("agent"),
    [`x-${secret("key").toLowerCase()}`]: "1",
  });
  await send(batch, { "grpc-encoding": secret("encoding") });
  await send(batch, { "grpc-timeout": secret("timeout") });
  await send(batch, {}, `/${secret("service")}/${secret("call")}`);
  await send(batch, {}, `${exportPath}?token=${secret("callQuery")}`);
});

test("what is no gRPC at all, on both ports", async () => {
  for (const port of [ports.otlpPort, ports.httpPort]) {
    await speak(port, `GET /${secret("path")}?token=${secret("query")} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await speak(port, `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${secret("frames")}`);
    await speak(port, `${secret("junk")}\r\n${secret("more")}\r\n\r\n`);
    await speak(
      port,
      `GET / HTTP/1.1\r\n${secret("header")}\r\n${secret("value")}: ${"x".repeat(40_000)}\r\n\r\n`,
    );
  }
});

test("paths, queries, methods and headers of the metrics port", async () => {
  for (const path of ["/", "/metrics", "/healthz", "/readyz", `/${secret("path")}`]) {
    await ask(`${path}?token=${secret("query")}`);
    await ask(`${path}/${secret("below")}`, "POST", { "x-token": secret("header") });
    await ask(path, "GET", {
      authorization: `Basic ${secret("basic")}`,
      cookie: `session=${secret("cookie")}`,
      "accept-encoding": `gzip, ${secret("encoding")}`,
      referer: secret("referer"),
    });
  }
});

test("a handler's failure, the inventory's and the end of the process", async () => {
  // Values of an inventory are an operator's own and named in errors on purpose, so that they can be found and mended;
  // what must not happen is that they reach a metric or a page.
  running.setInventory(`vps: [{ name: "${inventoryMark}", region: jp, addresses: ["${inventoryMark}"] }]`);
  await until(() => running.output.includes("inventory not usable"), 6_000);
  await send(encodeRequest([accessRecord({ nodeId: secret("afterFailure") })]));
  await readPages();
  running.setInventory(inventory("jp-005"));
  await until(() => running.output.split("inventory in force").length > 2, 6_000);
  await send(encodeRequest([accessRecord({ nodeId: secret("afterChange") })]));
  await readPages();
  running.signal("SIGTERM");
  await send(encodeRequest([accessRecord({ path: secret("duringDrain") })]));
  expect(await running.exited).toBe(0);
}, 20_000);

const inventoryMark = "OPERATORS_OWN_MISTAKE";

test("nothing of it came out again", () => {
  const everything = { output: running.output, answers: answers.join("\n") };
  // Both are really there, and hold what the secrets came with.
  expect(everything.output).toContain("inventory in force");
  expect(everything.answers).toContain('vps_requests_total{vps="jp-004"');
  expect(everything.answers).toContain("not an OTLP ExportLogsServiceRequest");
  expect(secrets.length).toBeGreaterThan(80);
  expect(new Set(secrets).size).toBe(secrets.length);
  for (const [where, found] of Object.entries(everything)) {
    const lower = found.toLowerCase();
    expect({ where, found: secrets.filter((each) => lower.includes(each.toLowerCase())) }).toEqual({
      where,
      found: [],
    });
    // Not a part of one either, as it would stand in a text that was cut off.
    expect({ where, found: /.{0,60}s3cr3t.{0,60}/.exec(lower)?.[0] }).toEqual({ where, found: undefined });
  }
  expect(everything.answers).not.toContain(inventoryMark);
});
