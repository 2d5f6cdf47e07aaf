/**
 * Stands in for the gateway and the exporter in tests of the fleet: a TLS server for HTTP/2 and HTTP/1.1 in front of
 * an HTTP/1.1 upstream that writes down what a gateway would log. It proves nothing about Envoy.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent, request as sendRequest } from "node:http";
import type { Http2SecureServer, Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { createSecureServer } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAddress } from "../../exporter/identify/address";
import { Directory } from "../../exporter/identify/directory";
import type { Inventory } from "../../exporter/identify/inventory";
import { endpointIndex, endpoints } from "../../exporter/measure/endpoint";
import { CertificateAuthority } from "../../sandbox/controlPlane/certificates";
import type { Target } from "../../sandbox/fleet";
import type { BucketCount, Sender, SeriesCount } from "../../sandbox/ledger";
import { monotonicMilliseconds, unknownSender } from "../../sandbox/ledger";

export const serverName = "panel.example.test";

export interface LoggedRequest {
  readonly address: string;
  readonly method: string;
  readonly path: string;
  readonly nodeId: string;
  readonly code: number;
  readonly milliseconds: number;
  readonly httpVersion: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Whom the inventory in force at that moment names. */
  readonly sender: Sender;
}

export interface TestCertificates {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** One authority and one server certificate; the folder is gone when this settles. */
export async function makeCertificates(): Promise<TestCertificates> {
  const directory = await mkdtemp(join(tmpdir(), "vpsight-fleet-"));
  try {
    const authority = await CertificateAuthority.create(directory, "test authority");
    const files = await authority.issue("server", { commonName: serverName, alternativeNames: [serverName] });
    return {
      ca: await authority.certificateText(),
      certificate: await readFile(files.certificate, "utf8"),
      key: await readFile(files.key, "utf8"),
    };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

export class TestGateway {
  readonly log: LoggedRequest[] = [];
  connections = 0;
  private directory = new Directory<Sender>({ source: "", vps: [] }, () => unknownSender);
  private readonly agent = new Agent({ keepAlive: true });
  private readonly sockets = new Set<Socket>();

  private constructor(
    private readonly server: Http2SecureServer,
    readonly target: Target,
    private readonly upstreamPort: number,
  ) {
    server.on("request", (request, response) => this.forward(request, response));
    server.on("connection", (socket: Socket) => {
      this.connections += 1;
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
    // A client that speaks no TLS, or gives up in the middle of it.
    server.on("tlsClientError", () => undefined);
  }

  static async start(certificates: TestCertificates, upstreamPort: number, port = 0): Promise<TestGateway> {
    const server = createSecureServer({
      ...{ allowHTTP1: true, key: certificates.key, cert: certificates.certificate },
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", resolve);
    });
    const { port: taken } = server.address() as AddressInfo;
    return new TestGateway(
      server,
      { ipv4: "127.0.0.1", port: taken, serverName, ca: certificates.ca },
      upstreamPort,
    );
  }

  /** Cuts all connections as they are. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    this.cut();
    this.agent.destroy();
    await closed;
  }

  /** Puts an inventory in force for the requests that follow. */
  setInventory(inventory: Inventory): void {
    this.directory = new Directory(inventory, ({ name, region }) => ({ vps: name, region }));
  }

  /** What the exporter would make of the log. */
  counts(): SeriesCount[] {
    return this.scoped().map(({ sender, method, path, code }) => ({
      ...{
        ...sender,
        endpoint: endpoints[endpointIndex(path)] ?? "other",
        method,
        code: String(code),
        count: 1,
      },
    }));
  }

  buckets(bounds: readonly number[]): BucketCount[] {
    const counts = new Map<string, BucketCount>();
    for (const { sender, path, milliseconds } of this.scoped()) {
      for (const le of [...bounds, Infinity].filter((bound) => Math.floor(milliseconds) / 1_000 <= bound)) {
        const labels = { ...sender, endpoint: endpoints[endpointIndex(path)] ?? "other", le };
        const key = JSON.stringify({ ...labels, le: String(le) });
        counts.set(key, { ...labels, count: (counts.get(key)?.count ?? 0) + 1 });
      }
    }
    return [...counts.values()];
  }

  private scoped(): LoggedRequest[] {
    return this.log.filter(({ path }) => /^\/api\/v[12]\/server\//.test(path));
  }

  private forward(request: Http2ServerRequest, response: Http2ServerResponse): void {
    const start = monotonicMilliseconds();
    const address = request.socket.remoteAddress ?? "";
    const url = new URL(request.url, "https://x");
    let end: number | undefined;
    const headers = Object.fromEntries(
      Object.entries(request.headers).filter(([name]) => !name.startsWith(":") && name !== "host"),
    );
    const upstream = sendRequest({
      ...{
        agent: this.agent,
        host: "127.0.0.1",
        port: this.upstreamPort,
        method: request.method,
        path: request.url,
      },
      headers: { ...headers, "x-forwarded-for": address },
    });
    upstream.on("response", (answer) => {
      const passed = Object.entries(answer.headers).filter(
        ([name]) => !["connection", "keep-alive", "date"].includes(name),
      );
      response.writeHead(answer.statusCode ?? 502, Object.fromEntries(passed));
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("end", () => {
        end = monotonicMilliseconds();
        response.end(Buffer.concat(chunks));
      });
    });
    upstream.on("error", () => {
      if (response.stream?.destroyed === true || response.writableEnded) return;
      response.writeHead(502);
      response.end();
    });
    response.on("close", () => {
      const nodeId = url.searchParams.get("node_id") ?? "";
      const caller = this.directory.identify(parseAddress(address), nodeId);
      this.log.push({
        ...{ address, nodeId, method: request.method, path: url.pathname },
        sender: caller.known ? caller.value : unknownSender,
        code: response.headersSent ? response.statusCode : 0,
        milliseconds: (end ?? monotonicMilliseconds()) - start,
        ...{ httpVersion: request.httpVersion, headers: request.headers },
      });
      upstream.destroy();
    });
    request.pipe(upstream);
  }
}
