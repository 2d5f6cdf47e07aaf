/**
 * Xboard stand-in: the panel's server API (`UniProxy` and `/api/v2/server`) and a few of its pages, on
 * HTTP/1.1 as behind a gateway.
 *
 * It answers with the panel's codes, bodies and ETags and can be told to fail. It does not prove anything
 * about Xboard itself: no database, no PHP workers that run out, no session, no rate limit or captcha by
 * client address, and its timing is its own.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo, Server } from "node:net";
import { monotonicMilliseconds } from "../ledger/clock";
import { handleControl } from "./control";
import type { Faults } from "./faults";
import { findEffect, noFaults } from "./faults";
import type { PanelAnswer, PanelOptions } from "./panel";
import { failure, Panel, routeOf } from "./panel";

/** One request as the panel saw it. Holds no token, body or query string. */
export interface SeenRequest {
  /** The claim; empty when there was none. */
  readonly nodeId: string;
  /** Undefined for a page outside the server API. */
  readonly endpoint: string | undefined;
  readonly method: string;
  /** 0 when the caller went away before the answer. */
  readonly status: number;
  readonly aborted: boolean;
  /** Monotonic milliseconds (`monotonicMilliseconds`): when the headers had arrived. */
  readonly startMilliseconds: number;
  /** Just before the answer's last byte was handed over, so never later than the gateway's end; or the abort. */
  readonly endMilliseconds: number;
  /** X-Forwarded-For as received; undefined when there was none. */
  readonly forwardedFor: string | undefined;
}

/** What the control port lists. */
export interface SeenRequests {
  readonly requests: readonly SeenRequest[];
  /** Older requests that were let go. */
  readonly dropped: number;
}

/** Options of the stand-in. */
export interface XboardOptions extends PanelOptions {
  /** Port of the panel; default 8080, 0 takes a free one. */
  readonly port?: number;
  /** Port of the control API; default 8081. */
  readonly controlPort?: number;
  /** Address to listen on; default all. */
  readonly host?: string;
  /** How many requests are remembered; default 50,000. */
  readonly remembered?: number;
}

/** A running stand-in. */
export interface Xboard {
  readonly port: number;
  readonly controlPort: number;
  readonly state: XboardState;
  /** Ends all connections. */
  close(): Promise<void>;
}

/** What the control port reads and sets. */
export class XboardState {
  faults: Faults = noFaults;
  private seen: SeenRequest[] = [];
  private dropped = 0;

  constructor(private readonly remembered: number) {}

  get requests(): SeenRequests {
    return { requests: this.seen, dropped: this.dropped };
  }

  remember(request: SeenRequest): void {
    this.seen.push(request);
    // In one go for many: shifting the whole list for each request would cost more than answering it.
    if (this.seen.length > this.remembered * 1.1) {
      const excess = this.seen.length - this.remembered;
      this.seen = this.seen.slice(excess);
      this.dropped += excess;
    }
  }

  forget(): void {
    this.seen = [];
    this.dropped = 0;
  }
}

const longestBody = 8 * 1024 * 1024;

/** Starts the panel and its control port. */
export async function startXboard(options: XboardOptions): Promise<Xboard> {
  const panel = new Panel(options);
  const state = new XboardState(options.remembered ?? 50_000);
  const app = createServer((request, response) => {
    serve(panel, state, request, response).catch(() => response.destroy());
  });
  const control = createServer((request, response) => {
    handleControl(state, request, response).catch(() => response.destroy());
  });
  // The gateway keeps idle connections for an hour. A server that closes them first makes it send into a closing
  // connection now and then: a 503 that nobody asked for.
  app.keepAliveTimeout = 0;
  app.headersTimeout = 0;
  app.requestTimeout = 0;
  const host = options.host;
  const port = await listen(app, options.port ?? 8080, host);
  const controlPort = await listen(control, options.controlPort ?? 8081, host);
  return {
    port,
    controlPort,
    state,
    close: async () => {
      await Promise.all(
        [app, control].map(
          (server) =>
            new Promise<void>((resolve) => {
              server.close(() => resolve());
              server.closeAllConnections();
            }),
        ),
      );
    },
  };
}

async function serve(panel: Panel, state: XboardState, request: IncomingMessage, response: ServerResponse) {
  const startMilliseconds = monotonicMilliseconds();
  const [path = "/", queryText = ""] = (request.url ?? "/").split(/\?(.*)/s, 2);
  const query = new URLSearchParams(queryText);
  const { endpoint } = routeOf(path);
  const nodeId = query.get("node_id") ?? "";
  const method = request.method ?? "GET";
  const forwardedFor = request.headers["x-forwarded-for"];
  const remember = (status: number, aborted: boolean) =>
    state.remember({
      ...{ nodeId, endpoint, method, status, aborted, startMilliseconds },
      endMilliseconds: monotonicMilliseconds(),
      forwardedFor: Array.isArray(forwardedFor) ? forwardedFor.join(",") : forwardedFor,
    });
  const gone = new AbortController();
  response.on("close", () => {
    if (response.writableEnded) return;
    remember(0, true);
    gone.abort();
  });

  const body = await readBody(request);
  const { faults } = state;
  let answer: PanelAnswer;
  if (faults.maintenance) answer = failure(503, "Maintenance");
  else {
    const effect = endpoint === undefined ? undefined : findEffect(faults, nodeId, endpoint);
    if (effect?.kind === "hang") return;
    if (effect?.kind === "delay") await pause(effect.milliseconds, gone.signal);
    const call = { method, path, query, ifNoneMatch: request.headers["if-none-match"] ?? "", body };
    answer =
      effect?.kind === "status" ? failure(effect.status, "Fault") : panel.answer(call, faults.oldPanel);
  }
  if (response.destroyed) return;
  const length = answer.status === 304 ? {} : { "content-length": String(Buffer.byteLength(answer.body)) };
  remember(answer.status, false);
  response.writeHead(answer.status, { ...answer.headers, ...length });
  response.end(answer.body);
}

/** Settles after the time, or at once when the caller goes away. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > longestBody) throw new Error("body too long");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function listen(server: Server, port: number, host: string | undefined): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
  });
  return (server.address() as AddressInfo).port;
}
