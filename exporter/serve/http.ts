import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { toError } from "../error";
import { ListenError } from "../listen";
import type { ListenAddress } from "../options";
import { landingPage } from "./landingPage";
import { writeMetrics } from "./metrics";

/** What the server shows. */
export interface HttpContent {
  /** The whole exposition, in pieces. */
  metrics(): AsyncIterable<string | Uint8Array>;
  /** What keeps the exporter from being ready; empty when it is. */
  notReady(): readonly string[];
}

/** Settings of a `MetricsServer`. */
export interface MetricsServerSettings {
  readonly listen: ListenAddress;
  readonly content: HttpContent;
}

/** Connections at one time; a scraper has one or two, and a flood must not take all file descriptors. */
const maxConnections = 256;
const headersTimeoutMilliseconds = 3_000;
const requestTimeoutMilliseconds = 10_000;
/** A client that takes nothing of its answer for so long is cut off. */
const idleTimeoutMilliseconds = 30_000;

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
      },
      (request, response) => void serve(routes, request, response),
    );
    server.maxConnections = maxConnections;
    server.setTimeout(idleTimeoutMilliseconds);
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

function createRoutes(content: HttpContent): ReadonlyMap<string, Route> {
  return new Map<string, Route>([
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
