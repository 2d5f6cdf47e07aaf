import { createHash } from "node:crypto";
import type {
  IncomingHttpHeaders,
  IncomingMessage,
  RequestListener,
  Server,
  ServerResponse,
} from "node:http";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";

/** One answer, written by hand. */
export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/**
 * A management plane as far as the exporter sees it: a real HTTP server whose answers the tests choose. What it does
 * not show is how a true plane makes ETags or checks tokens.
 */
export class Plane {
  /** Headers of every request so far. */
  readonly requests: IncomingHttpHeaders[] = [];
  /** How the next requests are answered. */
  answer: Answer = (response) => response.writeHead(500).end();
  private readonly server: Server;
  private port = 0;

  /** @param tls PEM texts; without, it speaks plain HTTP. */
  constructor(private readonly tls?: { readonly cert: string; readonly key: string }) {
    const listener: RequestListener = (request, response) => {
      this.requests.push(request.headers);
      this.answer(response, request);
    };
    this.server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
  }

  get url(): URL {
    return new URL(
      `${this.tls === undefined ? "http" : "https"}://127.0.0.1:${this.port}/fleet?key=s3cr3t-query`,
    );
  }

  /** Serves an inventory with an ETag made of its text, and 304 to whoever has it. */
  serve(text: string): void {
    this.answer = serveText(text);
  }

  /** Begins to listen; again after `stop` on the same port. */
  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.server.listen(this.port, "127.0.0.1", resolve));
    const bound = this.server.address();
    if (typeof bound === "object" && bound !== null) this.port = bound.port;
  }

  async stop(): Promise<void> {
    if (!this.server.listening) return;
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.server.closeAllConnections();
    await closed;
  }
}

/** See `Plane.serve`. */
export function serveText(text: string): Answer {
  const etag = `"${createHash("sha256").update(text).digest("hex")}"`;
  return (response, request) => {
    if (request.headers["if-none-match"] === etag) response.writeHead(304, { etag }).end();
    else response.writeHead(200, { etag, "content-type": "application/yaml" }).end(text);
  };
}
