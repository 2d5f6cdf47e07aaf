import { createReadStream } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { recordOperators, type AccessLogSettings } from "../../components/gatewayAccessLog";
import type { AccessRecordField } from "../../exporter/receive/fields";
import { proxyHeader } from "../../sandbox/fleet/proxyHeader";
import { readBatch, type RecordedBatch } from "../batch";
import { startEnvoy } from "../gateway/envoy";
import { gatewayBootstrap } from "../gateway/bootstrap";
import { receiverClusterName } from "../../components/receiverCluster";
import { otlpCluster, ownLoggers, receiver, type AccessLogger } from "../gateway/variants";
import { freePorts } from "../ports";
import { plainFields } from "./configurations";
import { createOtlpServer } from "./otlpServer";
import type { Recording } from "./recording";

export interface RecordOptions {
  vps: number;
  requestsPerVps: number;
  core: number;
  format: Omit<AccessLogSettings, "receiver" | "stdout">;
  directory: string;
}

/** The VPS's address, by its number from 0. */
export const vpsAddress = (index: number) => `10.${index >> 8}.${index & 255}.1`;

const callersAtOnce = 64;

/** The calls of a node, with what the panel's stand-in answers. */
const calls = [
  { method: "GET", path: "/api/v1/server/UniProxy/config", status: 304 },
  { method: "GET", path: "/api/v1/server/UniProxy/user", status: 200 },
  { method: "POST", path: "/api/v1/server/UniProxy/push", status: 200 },
  { method: "POST", path: "/api/v1/server/UniProxy/alive", status: 200 },
  { method: "GET", path: "/api/v1/server/UniProxy/alivelist", status: 500 },
] as const;

/**
 * Runs a real Envoy with vpsight's own OTLP logger, has every VPS call through it (its address in a PROXY header), and keeps
 * what was sent, and the same records with plain attributes and as JSON lines.
 */
export async function record({
  vps,
  requestsPerVps,
  core,
  format,
  directory,
}: RecordOptions): Promise<Recording> {
  const [admin = 0, port = 0, ...sinkPorts] = await freePorts(4);
  const [own, plain] = await Promise.all([collect(sinkPorts[0] ?? 0), collect(sinkPorts[1] ?? 0)]);
  const log = join(directory, "recorded.jsonl");
  const loggers = [
    ...ownLoggers({ ...format, receiver, stdout: false }),
    ...ownLoggers({ ...format, receiver: plainReceiver, stdout: false }).map(withPlainAttributes),
    jsonLogger(log),
  ];
  const bootstrap = gatewayBootstrap(
    [{ port, loggers }],
    {
      ...{ admin, upstream: 1 },
      sinks: { [otlpCluster]: own.port, [receiverClusterName(plainReceiver)]: plain.port },
    },
    calls.map(({ path, status }) => ({
      match: { path },
      direct_response: { status, body: { inline_string: "{}" } },
    })),
  );
  const envoy = await startEnvoy({ name: "recorder", core, admin, bootstrap, directory });
  try {
    let next = 0;
    const work = async () => {
      while (next < vps) await callAll(port, next++, requestsPerVps);
    };
    await Promise.all(Array.from({ length: callersAtOnce }, work));
    const records = vps * requestsPerVps;
    for (const { received } of [own, plain]) {
      for (let waited = 0; received() < records && waited < 100; waited += 1) await delay(100);
      if (received() !== records)
        throw new Error(`the gateway sent ${received()} records of ${records} requests`);
    }
    // The file is flushed at the latest every ten seconds; with the port's listener gone nothing follows.
    await fetch(`http://127.0.0.1:${admin}/reopen_logs`, { method: "POST" });
    let lines: string[] = [];
    for (let waited = 0; lines.length < records && waited < 120; waited += 1) {
      await delay(100);
      lines = await readLines(log);
    }
    if (lines.length !== records)
      throw new Error(`the gateway wrote ${lines.length} lines for ${records} requests`);
    return { batches: own.batches, plainBatches: plain.batches, lines, records };
  } finally {
    await envoy.stop();
    own.close();
    plain.close();
  }
}

const plainReceiver = { ...receiver, host: "plain.invalid" };

/** Listens for OTLP and keeps what comes. */
async function collect(port: number) {
  const batches: RecordedBatch[] = [];
  const server = createOtlpServer((message) => batches.push(readBatch(message)));
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const received = () => batches.reduce((sum, { records }) => sum + records, 0);
  return { port, batches, received, close: () => server.close() };
}

/** The record's operators under their plain names. */
const plainOperators = (Object.keys(recordOperators) as AccessRecordField[]).map(
  (field) => [plainFields[field], recordOperators[field]] as const,
);

/** Our OTLP logger, with each field as an attribute and no line. */
function withPlainAttributes({ typed_config, ...logger }: AccessLogger): AccessLogger {
  const values = plainOperators.map(([key, operator]) => ({ key, value: { string_value: operator } }));
  return {
    ...logger,
    typed_config: { ...(typed_config as object), body: undefined, attributes: { values } },
  };
}

/** The same record as one JSON line, sizes included: our own log on stdout leaves them out. */
function jsonLogger(path: string) {
  return {
    name: "envoy.access_loggers.file",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
      path,
      log_format: { json_format: Object.fromEntries(plainOperators) },
    },
  };
}

/** All requests of a VPS, one after the other on one connection; of the answers only the number matters. */
function callAll(port: number, index: number, count: number): Promise<void> {
  const node = index + 1;
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let sent = 0;
    const next = () => {
      if (sent === count) return void socket.end(() => resolve());
      const call = calls[(index + sent) % calls.length] ?? calls[0];
      sent += 1;
      const lines = [
        `${call.method} ${call.path}?node_id=${node}&node_type=V2ray&token=0123456789abcdef0123 HTTP/1.1`,
        "Host: panel.example.com",
        "User-Agent: go-resty/2.7.0 (https://github.com/go-resty/resty)",
        // With a body Envoy would close the connection: it answers by itself before it has read it.
        "Content-Length: 0",
      ];
      socket.write(`${lines.join("\r\n")}\r\n\r\n`);
    };
    socket.on("error", reject);
    socket.on("data", next);
    socket.write(proxyHeader(vpsAddress(index), { ipv4: "127.0.0.1", port }));
    next();
  });
}

async function readLines(file: string): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: createReadStream(file) })) lines.push(line);
  return lines;
}
