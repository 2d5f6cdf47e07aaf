import { setTimeout as sleep } from "node:timers/promises";
import type { Endpoint } from "../../exporter/measure/endpoint";
import type { Ledger, Sender } from "../ledger/ledger";
import { Http1Transport } from "./http1Transport";
import { Http2Transport } from "./http2Transport";
import type { PlannedNode } from "./plan";
import type { Target, Transport } from "./transport";
import { measured } from "./transport";

/** Options of one node's client. */
export interface NodeClientOptions {
  /** Who it really is; what the ledger says. */
  readonly sender: Sender;
  readonly node: PlannedNode;
  readonly target: Target;
  /** The panel's token. It leaves this process in query strings only. */
  readonly token: string;
  readonly ledger: Ledger;
  /** How long one try may take; XrayR's is 5,000 to 30,000. Default 10,000. */
  readonly patienceMilliseconds?: number;
  /** Tries after the first, when the transport failed or patience ended; an answer is never retried. Default 3. */
  readonly retries?: number;
  /** Before the first retry, doubled for each further one up to 2,000. Default 100, as resty has it. */
  readonly retryWaitMilliseconds?: number;
  /** Sent with every request; XrayR sends none of its own. Default: none. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** One call of the server API. */
export interface Call {
  /** What the caller means; the ledger's word for it. */
  readonly endpoint: Endpoint;
  readonly method: "GET" | "POST";
  /** Below the API's base path; default the endpoint's name. */
  readonly name?: string;
  /** Default: none for GET. */
  readonly body?: string;
  /** In place of the right ones, to play a wrong caller. */
  readonly nodeId?: string;
  readonly token?: string;
}

const basePaths = {
  xrayr: "/api/v1/server/UniProxy/",
  v2bx: "/api/v1/server/UniProxy/",
  node: "/api/v2/server/",
} as const;
const longestRetryWaitMilliseconds = 2_000;

/**
 * One panel node as XrayR, V2bX or a newer node plays it on the wire: one HTTP client with its own
 * connection, ETags kept, transport errors retried, everything written to the ledger.
 */
export class NodeClient {
  /** May be changed at any time, to play a caller that gives up early. */
  patienceMilliseconds: number;
  private readonly transport: Transport;
  private readonly etags = new Map<Endpoint, string>();
  private reports = 0;

  constructor(private readonly options: NodeClientOptions) {
    const { node, target } = options;
    this.patienceMilliseconds = options.patienceMilliseconds ?? 10_000;
    this.transport =
      node.protocol === "h2"
        ? new Http2Transport(target, node.localAddress)
        : new Http1Transport(target, node.localAddress);
  }

  /** The claim that it makes. */
  get nodeId(): string {
    return this.options.node.nodeId;
  }

  /** What the program does when it starts, before its timers run. */
  async start(): Promise<void> {
    if (this.options.node.client === "node") {
      await this.call({ endpoint: "machine", method: "POST", name: "machine/nodes", nodeId: "", body: "{}" });
      await this.call({ endpoint: "handshake", method: "POST", body: "{}" });
    }
    await this.poll();
  }

  /** The polling timer: config and, if that gave 200 or 304, the user list. */
  async poll(): Promise<void> {
    const code = await this.call({ endpoint: "config", method: "GET" });
    if (code !== 200 && code !== 304) return;
    await this.call({ endpoint: "user", method: "GET" });
    if (this.options.node.client === "v2bx") await this.call({ endpoint: "alivelist", method: "GET" });
  }

  /** The reporting timer: traffic if there was any, and what newer programs report besides. */
  async report(): Promise<void> {
    const { client, traffic } = this.options.node;
    const turn = this.reports++;
    const hasTraffic = traffic === "busy" || (traffic === "sometimes" && turn % 2 === 0);
    const users = { "101": [1_048_576 + turn, 73_400_320 + turn], "102": [2_048, 4_096] };
    if (client === "node") {
      const online = { "101": ["198.51.100.200"] };
      await this.call({ endpoint: "report", method: "POST", body: JSON.stringify({ traffic: users, alive: online }) });
      return;
    }
    if (hasTraffic) await this.call({ endpoint: "push", method: "POST", body: JSON.stringify(users) });
    if (client === "v2bx") {
      await this.call({ endpoint: "alive", method: "POST", body: '{"101":["198.51.100.200"]}' });
      await this.call({ endpoint: "status", method: "POST", body: '{"cpu":12.5,"mem":{"total":1024,"used":512}}' });
    }
  }

  /**
   * Makes one call with its retries; every try goes into the ledger.
   * @returns the last try's code; 0 when there was no answer.
   */
  async call(call: Call): Promise<number> {
    const { sender, ledger, retries = 3, retryWaitMilliseconds = 100 } = this.options;
    const { endpoint, method, nodeId = this.nodeId } = call;
    for (let attempt = 1; ; attempt += 1) {
      const exchange = await this.transport.exchange(this.outgoing(call), this.patienceMilliseconds);
      const { vps, region } = sender;
      if (exchange.sent) {
        ledger.record({ vps, region, endpoint, method, nodeId, attempt, ...measured(exchange) });
        if (exchange.etag !== undefined && exchange.finished) this.etags.set(endpoint, exchange.etag);
        if (exchange.finished) return exchange.code;
      } else {
        ledger.recordTransportError({ vps, region, endpoint, method, attempt, reason: exchange.reason });
      }
      if (attempt > retries) return exchange.sent ? exchange.code : 0;
      await sleep(Math.min(longestRetryWaitMilliseconds, retryWaitMilliseconds * 2 ** (attempt - 1)));
    }
  }

  /** Ends its connections, as a VPS that is thrown away does. */
  async close(): Promise<void> {
    await this.transport.close();
  }

  private outgoing(call: Call) {
    const { node, token } = this.options;
    const { endpoint, method, name = endpoint, body = "", nodeId = node.nodeId } = call;
    // The order of Go's url.Values: by name. A machine asks for its nodes before it has any.
    const query = new URLSearchParams(nodeId === "" ? { machine_id: "1" } : { node_id: nodeId, node_type: "vless" });
    query.set("token", call.token ?? token);
    return {
      ...{ method, body, path: basePaths[node.client] + name, query: `?${query.toString()}` },
      headers: {
        "user-agent": "go-resty/2.13.1 (https://github.com/go-resty/resty)",
        accept: "application/json",
        // Sent from the first request on, empty until an ETag is known.
        ...(endpoint === "config" || endpoint === "user" ? { "if-none-match": this.etags.get(endpoint) ?? "" } : {}),
        ...(body === "" ? {} : { "content-type": "application/json" }),
        ...this.options.headers,
      },
    };
  }
}

/** How often a timer fires, and until when. */
export interface TimerOptions {
  readonly intervalMilliseconds: number;
  /** Turns to take; default as many as there are until the signal. */
  readonly turns?: number;
  readonly signal?: AbortSignal;
}

/**
 * Runs both timers of a node that has started: polls and reports, each waiting its interval after the last
 * turn's end (as XrayR's `task.Periodic` does), the reports half an interval later.
 */
export async function runTimers(client: NodeClient, options: TimerOptions): Promise<void> {
  const half = options.intervalMilliseconds / 2;
  await Promise.all([
    repeat(() => client.poll(), half, options),
    repeat(() => client.report(), options.intervalMilliseconds, options),
  ]);
}

async function repeat(turn: () => Promise<void>, firstWait: number, options: TimerOptions): Promise<void> {
  const { intervalMilliseconds, turns = Infinity, signal } = options;
  for (let taken = 0; taken < turns; taken += 1) {
    if (!(await waited(taken === 0 ? firstWait : intervalMilliseconds, signal))) return;
    await turn();
  }
}

/** Waits; false when the signal ended it. */
export async function waited(milliseconds: number, signal?: AbortSignal): Promise<boolean> {
  if (signal?.aborted === true) return false;
  return sleep(milliseconds, true, signal === undefined ? {} : { signal }).catch(() => false);
}
