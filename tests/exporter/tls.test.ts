import { credentials, status } from "@grpc/grpc-js";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { buildExporter } from "../../exporter/build";
import { exportPath } from "../../exporter/receive/server";
import type { TlsRefusal } from "../../exporter/receive/tls";
import { ServerFiles, TestCertificates, type KeyPair } from "../support/clientCertificates";
import { accessRecord, encodeRequest, OtlpClient } from "./otlp";
import { RunningExporter, until } from "./running";
import { valueOf } from "./samples";

/** Mutual TLS on the OTLP port, against the real process: who is let in, and how certificates are renewed. */
const serverName = "vpsight-exporter.vpsight.svc.cluster.local";
const gatewayName = "spiffe://example.test/gateway";
const inventory = JSON.stringify({ vps: [{ name: "jp-004", region: "jp", addresses: ["203.0.113.7"] }] });

let folder: string;
let bundle: string;
let ours: TestCertificates;
let others: TestCertificates;
let server: KeyPair;
let gateway: KeyPair;
let files: ServerFiles;
let running: RunningExporter;
let port: number;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "vpsight-bundle-"));
  bundle = join(folder, "exporter.cjs");
  [ours, others] = await Promise.all([TestCertificates.create(), TestCertificates.create()]);
  [server, gateway] = await Promise.all([
    ours.issue({ commonName: "exporter", alternativeNames: [serverName] }),
    ours.issue({ commonName: "gateway", alternativeNames: [gatewayName], usage: "client" }),
    buildExporter(bundle),
  ]);
});

beforeEach(async () => {
  files = new ServerFiles(server, ours.authorityText);
  running = new RunningExporter(
    bundle,
    inventory,
    ...files.flags,
    `--otlp-tls-client-names=gateway.example,${gatewayName}`,
  );
  port = (await running.started()).otlpPort;
});

afterEach(async () => {
  await running.remove();
  files.remove();
});

afterAll(() => {
  rmSync(folder, { recursive: true });
  ours.remove();
  others.remove();
});

/** A gRPC client with a certificate, or without one. */
function clientWith(pair: KeyPair | undefined, authority = ours.authorityText): OtlpClient {
  const secure = credentials.createSsl(authority, pair?.key ?? null, pair?.cert ?? null);
  return new OtlpClient(port, { "grpc.ssl_target_name_override": serverName }, secure);
}

/** A batch of one record, different from all others: one that comes again counts once. */
let second = 1_700_000_000;
const newBatch = () => encodeRequest([accessRecord({}, second++)]);

async function isTaken(pair: KeyPair | undefined, authority?: Buffer): Promise<boolean> {
  const client = clientWith(pair, authority);
  try {
    await client.send(newBatch());
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: status.UNAVAILABLE });
    return false;
  } finally {
    client.close();
  }
}

async function refusals(): Promise<Partial<Record<TlsRefusal, number>>> {
  const samples = await running.scrape();
  const reasons: TlsRefusal[] = ["no_certificate", "certificate", "name", "handshake"];
  return Object.fromEntries(
    reasons
      .map((reason) => [
        reason,
        valueOf(samples, "vpsight_exporter_tls_connections_refused_total", { reason }),
      ])
      .filter(([, value]) => value !== 0),
  ) as Partial<Record<TlsRefusal, number>>;
}

const counted = async () =>
  valueOf(await running.scrape(), "vpsight_exporter_records_total", { result: "counted" });

/** Connects by TLS alone. @returns the socket, still open after a round trip, or the failure. */
function handshake(options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host: "127.0.0.1", port, servername: serverName, ca: ours.authorityText, ALPNProtocols: ["h2"] },
      ...options,
    });
    // With TLS 1.3 the client is through before the server has seen its certificate: only an answer is a proof.
    socket.once("secureConnect", () => socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"));
    socket.once("data", () => resolve(socket));
    socket.once("error", reject).once("close", () => reject(new Error("closed")));
  });
}

test("the gateway's certificate is taken, and the record counted", async () => {
  expect(await isTaken(gateway)).toBe(true);
  expect([await counted(), await refusals()]).toEqual([1, {}]);
});

test("the other name that is allowed is taken too", async () => {
  const subject = { commonName: "x", alternativeNames: ["gateway.example"], usage: "client" } as const;
  expect(await isTaken(await ours.issue(subject))).toBe(true);
});

test("no certificate is refused", async () => {
  expect(await isTaken(undefined)).toBe(false);
  expect(await counted()).toBe(0);
  const { no_certificate: first = 0, ...rest } = await refusals();
  expect([first > 0, rest]).toEqual([true, {}]);
});

describe("a certificate is refused", () => {
  const client = { commonName: "gateway", alternativeNames: [gatewayName], usage: "client" } as const;

  test.each<[string, () => Promise<KeyPair>, TlsRefusal]>([
    ["of another authority", () => others.issue(client), "certificate"],
    ["that has expired", () => ours.issueExpired("gateway.example"), "certificate"],
    ["that is a server's", () => ours.issue({ ...client, usage: "server" }), "certificate"],
    [
      "with another name",
      () => ours.issue({ ...client, alternativeNames: [`${gatewayName}/other`, "gateway.example.org"] }),
      "name",
    ],
    ["whose name is only its subject's", () => ours.issue({ commonName: "gateway.example" }), "name"],
    [
      "with a wildcard that would cover the name",
      () => ours.issue({ ...client, alternativeNames: ["*.example"] }),
      "name",
    ],
  ])("%s", async (_name, issue, reason) => {
    expect(await isTaken(await issue())).toBe(false);
    expect(await counted()).toBe(0);
    const { [reason]: refused = 0, ...rest } = await refusals();
    expect([refused > 0, rest]).toEqual([true, {}]);
  });
});

test("plain text is refused, and says nothing", async () => {
  const plain = new OtlpClient(port);
  expect((await plain.failure(newBatch())).code).toBe(status.UNAVAILABLE);
  plain.close();
  const answer = await new Promise<string>((resolve) => {
    let text = "";
    const socket = createConnection(port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\n\r\n"));
    socket.on("data", (data) => (text += data.toString("latin1"))).on("error", () => undefined);
    socket.on("close", () => resolve(text));
  });
  expect(answer).not.toMatch(/HTTP/);
  expect(await counted()).toBe(0);
  expect((await refusals()).handshake).toBeGreaterThan(0);
});

test("TLS 1.3 is spoken, 1.2 taken, 1.1 refused", async () => {
  const versionWith = async (options: ConnectionOptions) => {
    const socket = await handshake({ ...gateway, ...options });
    const version = socket.getProtocol();
    socket.destroy();
    return version;
  };
  expect(await versionWith({})).toBe("TLSv1.3");
  expect(await versionWith({ maxVersion: "TLSv1.2" })).toBe("TLSv1.2");
  await expect(
    versionWith({ minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" }),
  ).rejects.toThrow();
});

test.each(["TLSv1.2", "TLSv1.3"] as const)(
  "%s sessions are not resumed: each connection shows its certificate",
  async (version) => {
    const limits = { minVersion: version, maxVersion: version } as const;
    const sessions: Buffer[] = [];
    const first = await handshake({ ...gateway, ...limits });
    first.on("session", (session: Buffer) => sessions.push(session));
    await new Promise((resolve) => setTimeout(resolve, 200));
    const session = sessions.at(-1) ?? first.getSession();
    first.destroy();
    const second = await handshake({ ...gateway, ...limits, ...(session === undefined ? {} : { session }) });
    expect(second.isSessionReused()).toBe(false);
    second.destroy();
  },
);

test("renewed certificates are taken over without a restart, and a connection that stands goes on", async () => {
  const standing = clientWith(gateway);
  await standing.send(newBatch());
  const renewed = await others.issue({ commonName: "exporter", alternativeNames: [serverName] });
  const newGateway = await others.issue({
    commonName: "gateway",
    alternativeNames: [gatewayName],
    usage: "client",
  });
  files.write(renewed, others.authorityText);
  const inForce = () => running.events.some(({ event }) => event === "certificates in force");
  await until(inForce, 8_000);
  await standing.send(newBatch());
  standing.close();
  expect(await isTaken(newGateway, others.authorityText)).toBe(true);
  // Trusting the new server certificate, so that only its own old certificate can be what is wrong.
  expect(await isTaken(gateway, others.authorityText)).toBe(false);
  expect(await counted()).toBe(3);
}, 20_000);

test("half-written certificates change nothing, are reported once, and the next good ones are taken", async () => {
  writeFileSync(files.key, (await others.issue({ commonName: "x", alternativeNames: ["x"] })).key);
  const problems = () => running.events.filter(({ event }) => event === "certificates not usable");
  await until(() => problems().length > 0, 8_000);
  expect(problems()).toEqual([
    expect.objectContaining({
      level: "error",
      kept: "the last good ones",
      problem: expect.stringContaining(`${files.key} does not fit ${files.certificate}`) as string,
    }),
  ]);
  expect(await isTaken(gateway)).toBe(true);
  writeFileSync(files.key, server.key);
  expect(await isTaken(gateway)).toBe(true);
}, 20_000);

test.each([
  ["missing", (broken: ServerFiles) => rmSync(broken.key), /tls\.key cannot be read: ENOENT/],
  [
    "not PEM",
    (broken: ServerFiles) => writeFileSync(broken.clientAuthority, "s3cr3t"),
    /ca\.crt holds no PEM certificate/,
  ],
])("files that are %s end the start with one sentence", async (_name, spoil, message) => {
  const broken = new ServerFiles(server, ours.authorityText);
  spoil(broken);
  const other = new RunningExporter(bundle, inventory, ...broken.flags);
  expect(await other.exited).toBe(1);
  expect(other.output).toMatch(message);
  expect(other.output).not.toMatch(/s3cr3t|\n\s+at /);
  await other.remove();
  broken.remove();
});

test("a drain finishes the call that is under way, takes no new connection, and stays scrapable", async () => {
  const client = connectHttp2(`https://127.0.0.1:${port}`, {
    ...{ ...gateway, ca: ours.authorityText, servername: serverName },
  });
  await new Promise((resolve) => client.once("connect", resolve));
  const batch = newBatch();
  const call = client.request({
    ...{ ":method": "POST", ":path": exportPath, "content-type": "application/grpc", te: "trailers" },
  });
  const ended = new Promise<string>((resolve) => {
    call.on("trailers", (trailers: IncomingHttpHeaders) => resolve(String(trailers["grpc-status"]))).resume();
  });
  const frame = Buffer.alloc(5);
  frame.writeUInt32BE(batch.length, 1);
  call.write(Buffer.concat([frame, batch.subarray(0, 10)]));
  await new Promise((resolve) => client.ping(resolve));
  running.signal("SIGTERM");
  await until(() => running.output.includes('"event":"draining"'), 5_000);
  expect(await isTaken(gateway)).toBe(false);
  call.end(batch.subarray(10));
  expect(await ended).toBe("0");
  expect(await counted()).toBe(1);
  client.destroy();
});

test("the expiry is a metric, so that an alert can come before the certificate ends", async () => {
  const expiry = valueOf(await running.scrape(), "vpsight_exporter_tls_certificate_expiry_timestamp_seconds");
  expect(expiry).toBeGreaterThan(Date.now() / 1_000 + 29 * 86_400);
});
