import { createHash, timingSafeEqual } from "node:crypto";

/** What the panel knows. */
export interface PanelOptions {
  /** The one token of all nodes. Compared, never written anywhere. */
  readonly token: string;
  /** The nodes that exist: numbers or string codes. */
  readonly nodeIds: readonly string[];
  /** Length of the user list; default 200 (about 25 kB). Real panels have 100 to 10,000. */
  readonly users?: number;
}

/** A request with everything that decides its answer. */
export interface PanelCall {
  readonly method: string;
  /** Without the query string. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly ifNoneMatch: string;
  readonly body: string;
}

/** An answer, ready to be written. */
export interface PanelAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Where a path leads. */
export interface Route {
  /** `config`, `user`, …, `other`; undefined outside the server API: a page of the panel's users. */
  readonly endpoint: string | undefined;
}

const v1Prefix = "/api/v1/server/UniProxy/";
const v2Prefix = "/api/v2/server/";
const v1Calls: readonly string[] = ["config", "user", "push", "alive", "alivelist", "status"];
const v2Calls: readonly string[] = [...v1Calls, "handshake", "report"];

/** Tells the server API from the pages, and its calls from each other. */
export function routeOf(path: string): Route {
  if (path.startsWith(v1Prefix)) {
    const call = path.slice(v1Prefix.length);
    return { endpoint: v1Calls.includes(call) ? call : "other" };
  }
  if (path.startsWith(v2Prefix)) {
    const call = path.slice(v2Prefix.length);
    if (call === "machine/nodes" || call === "machine/status") return { endpoint: "machine" };
    return { endpoint: v2Calls.includes(call) ? call : "other" };
  }
  return { endpoint: path.startsWith("/api/v1/server/") ? "other" : undefined };
}

const accepted = { status: "success", data: true };
const config = {
  protocol: "vless",
  listen_ip: "0.0.0.0",
  server_port: 443,
  network: "tcp",
  tls: 2,
  flow: "xtls-rprx-vision",
  base_config: { push_interval: 60, pull_interval: 60 },
};

/** The panel's answers, without network, clock or faults. */
export class Panel {
  private readonly nodeIds: ReadonlySet<string>;
  private readonly tokenDigest: Buffer;
  private readonly userList: { readonly body: string; readonly etag: string };
  private readonly configuration: { readonly body: string; readonly etag: string };

  constructor(options: PanelOptions) {
    this.nodeIds = new Set(options.nodeIds);
    this.tokenDigest = digest(options.token);
    this.userList = withEtag({ users: listUsers(options.users ?? 200) });
    this.configuration = withEtag(config);
  }

  /** @param oldPanel answer 500 instead of 422 and 400, as panels of some years ago do. */
  answer(call: PanelCall, oldPanel: boolean): PanelAnswer {
    const { endpoint } = routeOf(call.path);
    if (endpoint === undefined) return page(call);
    if (!timingSafeEqual(digest(call.query.get("token") ?? ""), this.tokenDigest)) {
      return failure(oldPanel ? 500 : 422, "Invalid token");
    }
    if (endpoint === "machine") return answerMachine(call, [...this.nodeIds]);
    if (!this.nodeIds.has(call.query.get("node_id") ?? "")) {
      return failure(oldPanel ? 500 : 400, "Server does not exist");
    }
    return this.answerNode(endpoint, call);
  }

  private answerNode(endpoint: string, call: PanelCall): PanelAnswer {
    switch (endpoint) {
      case "config":
        return cacheable(call, this.configuration);
      case "user":
        return cacheable(call, this.userList);
      case "alivelist":
        return json(200, { alive: {} });
      case "handshake":
        return json(200, { websocket: { enabled: false }, settings: config.base_config });
      case "push":
        return isTrafficReport(parse(call.body)) ? json(200, accepted) : failure(422, "Invalid data format");
      case "alive":
      case "status":
      case "report":
        return isRecord(parse(call.body)) ? json(200, accepted) : failure(422, "Invalid data format");
      default:
        return failure(404, "Not Found");
    }
  }
}

/** An answer with Xboard's envelope of errors. */
export function failure(status: number, message: string): PanelAnswer {
  return json(status, { status: "fail", message, data: null, error: null });
}

function answerMachine({ path }: PanelCall, nodeIds: readonly string[]): PanelAnswer {
  if (path.endsWith("/status")) return json(200, accepted);
  return json(200, { nodes: nodeIds.map((id) => ({ id, type: "vless" })), base_config: config.base_config });
}

/** What browsers and proxy apps of the panel's customers ask for. */
function page({ method, path, query }: PanelCall): PanelAnswer {
  if (path === "/") {
    return {
      status: 200,
      headers: { "content-type": "text/html" },
      body: "<!doctype html><title>Panel</title>",
    };
  }
  if (path === "/api/v1/client/subscribe") {
    if ((query.get("token") ?? "") === "") return failure(403, "token is null");
    const servers = Buffer.from("vless://sandbox@example.invalid:443\n").toString("base64");
    return { status: 200, headers: { "content-type": "text/plain" }, body: servers };
  }
  if (path === "/api/v1/passport/auth/login") {
    return method === "POST"
      ? json(200, { status: "success", data: { is_admin: false } })
      : failure(405, "Method");
  }
  return failure(404, "Not Found");
}

function cacheable(call: PanelCall, { body, etag }: { body: string; etag: string }): PanelAnswer {
  // The panel looks for the digest anywhere in the header, so that quotes and weak tags make no difference.
  if (call.ifNoneMatch.includes(etag)) return { status: 304, headers: {}, body: "" };
  return { status: 200, headers: { "content-type": "application/json", etag: `"${etag}"` }, body };
}

function json(status: number, value: unknown): PanelAnswer {
  return { status, headers: { "content-type": "application/json" }, body: JSON.stringify(value) };
}

function withEtag(value: unknown) {
  const body = JSON.stringify(value);
  return { body, etag: createHash("sha1").update(body).digest("hex") };
}

function listUsers(count: number) {
  return Array.from({ length: count }, (_, index) => ({
    id: index + 1,
    uuid: `00000000-0000-4000-8000-${String(index + 1).padStart(12, "0")}`,
    speed_limit: null,
    device_limit: null,
  }));
}

/** `{"101":[1048576,73400320]}`: upload and download per user. */
function isTrafficReport(value: unknown): boolean {
  if (!isRecord(value)) return false;
  return Object.values(value).every(
    (entry) =>
      Array.isArray(entry) && entry.length === 2 && entry.every((bytes) => typeof bytes === "number"),
  );
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
