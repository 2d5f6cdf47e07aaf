import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { toError } from "../error";
import { ListenError } from "../listen";
import type { ListenAddress } from "../options";
import { Connections } from "../connections";
import { landingPage } from "./landingPage";
import { writeMetrics } from "./metrics";

/** What the server shows. */
export interface HttpContent {
  /** The whole exposition, in pieces. */
  metrics(): AsyncIterable<string | Uint8Array>;
  /** The series for Kiali, in pieces; absent when they are not wanted. */
  readonly mesh?: () => AsyncIterable<string | Uint8Array>;
  /** What `/status` shows as JSON: see `status.ts`. */
  status(): Promise<unknown>;
  /** What keeps the exporter from being ready; empty when it is. */
  notReady(): readonly string[];
}

/** Settings of a `MetricsServer`. */
export interface MetricsServerSettings {
  readonly listen: ListenAddress;
  readonly content: HttpContent;
}

/**
 * Connections at one time; a scraper has one or two. Beyond that, who was of no use for longest has to go: a new scraper
 * gets in, whatever number of others stand there or take no answer. Each may hold about 400 KB of a compressed answer.
 */
export const maxConnections = 128;
const headersTimeoutMilliseconds = 3_000;
const requestTimeoutMilliseconds = 10_000;
/** A client that takes nothing of its answer for so long is cut off. */
const idleTimeoutMilliseconds = 30_000;

/** Bytes of an answer that may wait for their taker. */
const writeAheadBytes = 1024 * 1024;

/** Longer than a scrape interval of a minute, so that the scraper keeps its connection. */
const keepAliveMilliseconds = 75_000;

type Route = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** Serves metrics and health over plain HTTP; read-only. */
export class MetricsServer {
  private constructor(
    private readonly server: Server,
    /** The port in use. */
    readonly port: number,
  ) {}

  /** @throws ListenError when the port cannot be had. */
  static async start({ listen, content }: MetricsServerSettings): Promise<MetricsServer> {
    const routes = createRoutes(content);
    const server = createServer(
      {
        headersTimeout: headersTimeoutMilliseconds,
        requestTimeout: requestTimeoutMilliseconds,
        connectionsCheckingInterval: 500,
        keepAliveTimeout: keepAliveMilliseconds,
        maxHeaderSize: 16 * 1024,
        highWaterMark: writeAheadBytes,
      },
      (request, response) => {
        if (isOneAtATime(request, response)) void serve(routes, request, response);
      },
    );
    server.setTimeout(idleTimeoutMilliseconds);
    limitConnections(server);
    return new MetricsServer(server, await bind(server, listen));
  }

  /** Ends all connections and gives the port back. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}

function limitConnections(server: Server): void {
  const connections = new Connections<Socket>(maxConnections, headersTimeoutMilliseconds);
  server.on("connection", (socket) => {
    connections.add(socket, performance.now());
    socket.once("close", () => connections.remove(socket));
  });
  server.on("request", ({ socket }, response) => {
    response.once("finish", () => connections.noteMessage(socket, performance.now()));
  });
}

/**
 * Whether the connection waits for one answer only. One that asks again before it has its answer is ended: no scraper does
 * so, and Node would make all the answers at one time and keep them.
 */
function isOneAtATime({ socket }: IncomingMessage, response: ServerResponse): boolean {
  if (beingAnswered.has(socket)) {
    socket.destroy();
    return false;
  }
  beingAnswered.add(socket);
  response.once("finish", () => beingAnswered.delete(socket));
  return true;
}

const beingAnswered = new WeakSet<Socket>();

function createRoutes(content: HttpContent): ReadonlyMap<string, Route> {
  const { mesh } = content;
  return new Map<string, Route>([
    ...(mesh === undefined
      ? []
      : [
          [
            "/metrics/mesh",
            (request: IncomingMessage, response: ServerResponse) => writeMetrics(request, response, mesh()),
          ] as const,
        ]),
    ["/", (_request, response) => sendPage(response)],
    ["/healthz", (_request, response) => sendText(response, 200, "ok\n")],
    [
      "/readyz",
      (_request, response) => {
        const reasons = content.notReady();
        if (reasons.length === 0) sendText(response, 200, "ready\n");
        else sendText(response, 503, reasons.map((reason) => `not ready: ${reason}\n`).join(""));
      },
    ],
    ["/metrics", (request, response) => writeMetrics(request, response, content.metrics())],
    ["/status", async (_request, response) => sendJson(response, await content.status())],
  ]);
}

async function serve(
  routes: ReadonlyMap<string, Route>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  response.setHeader("X-Content-Type-Options", "nosniff");
  const [path = ""] = (request.url ?? "").split("?", 1);
  const route = routes.get(path);
  try {
    if (route === undefined) sendText(response, 404, "not found\n");
    else if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      // A body is not waited for.
      response.setHeader("Connection", "close");
      sendText(response, 405, "only GET and HEAD are allowed\n");
    } else await route(request, response);
  } catch {
    // The client went away, or rendering failed half-way: the scraper must see a broken answer, not a short one.
    response.destroy();
  }
}

function sendText(response: ServerResponse, code: number, text: string): void {
  response.writeHead(code, {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": Buffer.byteLength(text),
  });
  response.end(text);
}

/** Indented: people read it. */
function sendJson(response: ServerResponse, value: unknown): void {
  const text = `${JSON.stringify(value, undefined, 2)}\n`;
  response.writeHead(200, {
    "Content-Type": "application/json; charset=utf-8",
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
  });
  response.end(text);
}

function sendPage(response: ServerResponse): void {
  response.writeHead(200, {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Length": Buffer.byteLength(landingPage),
    "Content-Security-Policy":
      "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
  });
  response.end(landingPage);
}

function bind(server: Server, listen: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new ListenError("HTTP", listen, toError(error).message)));
    server.listen({ host: listen.host, port: listen.port }, () => {
      const bound = server.address();
      if (bound !== null && typeof bound === "object") resolve(bound.port);
      else reject(new ListenError("HTTP", listen, "the system gave no port"));
    });
  });
}
