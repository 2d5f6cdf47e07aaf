import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Xboard } from "../../sandbox/xboard";
import { buildXboard, noFaults, startXboard, XboardControl } from "../../sandbox/xboard";

// The stand-in answers as the facts about Xboard say; that Xboard does so is not shown here.

const token = "panel-token-77ab";
let xboard: Xboard;
let control: XboardControl;

beforeEach(async () => {
  xboard = await startXboard({
    ...{ token, nodeIds: ["11", "hk-premium"], users: 30, port: 0, controlPort: 0, host: "127.0.0.1" },
  });
  control = new XboardControl(`http://127.0.0.1:${xboard.controlPort}`);
});

afterEach(() => xboard.close());

interface CallOptions {
  readonly base?: string;
  readonly node?: string;
  readonly token?: string;
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

function call(name: string, options: CallOptions = {}): Promise<Response> {
  const { base = "/api/v1/server/UniProxy/", node = "11", body, headers, signal } = options;
  const query = new URLSearchParams({ node_id: node, node_type: "vless", token: options.token ?? token });
  return fetch(`http://127.0.0.1:${xboard.port}${base}${name}?${query.toString()}`, {
    method: options.method ?? (body === undefined ? "GET" : "POST"),
    ...(body === undefined ? {} : { body }),
    ...(headers === undefined ? {} : { headers }),
    ...(signal === undefined ? {} : { signal }),
  });
}

const statusOf = async (response: Promise<Response>) => {
  const { status, body } = await response;
  await body?.cancel();
  return status;
};
const v2 = { base: "/api/v2/server/" };

describe("the server API", () => {
  it.each(["config", "user"])("answers %s with an ETag, and 304 to whoever has it", async (name) => {
    for (const base of ["/api/v1/server/UniProxy/", "/api/v2/server/"]) {
      const first = await call(name, { base, headers: { "if-none-match": "" } });
      expect(first.status).toBe(200);
      const etag = first.headers.get("etag") ?? "";
      expect(etag).toMatch(/^"[0-9a-f]{40}"$/);
      await first.text();
      const second = await call(name, { base, headers: { "if-none-match": etag } });
      expect(second.status).toBe(304);
      expect(await second.text()).toBe("");
      expect(await statusOf(call(name, { base, headers: { "if-none-match": '"another"' } }))).toBe(200);
    }
  });

  it("sends a configuration and a user list of the panel's form", async () => {
    expect(await (await call("config")).json()).toMatchObject({
      ...{ protocol: "vless", server_port: 443, base_config: { push_interval: 60, pull_interval: 60 } },
    });
    const { users } = (await (await call("user")).json()) as { users: unknown[] };
    expect(users).toHaveLength(30);
    expect(users[0]).toEqual({
      id: 1,
      uuid: expect.any(String) as string,
      speed_limit: null,
      device_limit: null,
    });
  });

  it("takes reports", async () => {
    const pushed = await call("push", { body: '{"101":[1048576,73400320]}' });
    expect(await pushed.json()).toEqual({ status: "success", data: true });
    expect(await statusOf(call("alive", { body: '{"101":["198.51.100.9"]}' }))).toBe(200);
    expect(await statusOf(call("alivelist"))).toBe(200);
    expect(await statusOf(call("status", { body: '{"cpu":1}' }))).toBe(200);
    for (const name of ["handshake", "report", "machine/nodes", "machine/status"]) {
      expect(await statusOf(call(name, { ...v2, body: "{}" }))).toBe(200);
    }
    const seen = (await control.requests()).requests.map(({ endpoint }) => endpoint);
    expect(seen).toEqual([
      ...["push", "alive", "alivelist", "status", "handshake", "report", "machine", "machine"],
    ]);
  });

  it.each(['{"101":"much"}', '{"101":[1]}', "[]", "not json", ""])(
    "refuses the report %p with 422",
    async (body) => {
      expect(await statusOf(call("push", { body }))).toBe(422);
    },
  );

  it("refuses a wrong token with 422 and an unknown node with 400; an old panel says 500 to both", async () => {
    const refusals = () =>
      Promise.all([
        ...[call("config", { token: "wrong" }), call("user", { node: "12" }), call("user", { node: "" })].map(
          statusOf,
        ),
        statusOf(call("push", { token: "", body: "{}" })),
      ]);
    expect(await refusals()).toEqual([422, 400, 400, 422]);
    await control.setFaults({ ...noFaults, oldPanel: true });
    expect(await refusals()).toEqual([500, 500, 500, 500]);
    expect(await statusOf(call("config", { node: "hk-premium" }))).toBe(200);
  });

  it("does not know other calls", async () => {
    expect(await statusOf(call("nonsense"))).toBe(404);
    expect((await control.requests()).requests[0]).toMatchObject({ endpoint: "other", status: 404 });
  });
});

describe("the pages", () => {
  it("serves browsers and subscriptions", async () => {
    const base = `http://127.0.0.1:${xboard.port}`;
    expect(await statusOf(fetch(`${base}/`))).toBe(200);
    expect(await statusOf(fetch(`${base}/api/v1/client/subscribe?token=user`))).toBe(200);
    expect(await statusOf(fetch(`${base}/api/v1/client/subscribe`))).toBe(403);
    expect(await statusOf(fetch(`${base}/api/v1/passport/auth/login`, { method: "POST", body: "{}" }))).toBe(
      200,
    );
    expect(await statusOf(fetch(`${base}/nothing`))).toBe(404);
    expect((await control.requests()).requests.every(({ endpoint }) => endpoint === undefined)).toBe(true);
  });
});

describe("faults", () => {
  it("meet the node and endpoint that they are for, and nobody else", async () => {
    const effect = { kind: "status", status: 500 } as const;
    await control.setFaults({ ...noFaults, rules: [{ nodeId: "11", endpoint: "user", effect }] });
    expect(await statusOf(call("user"))).toBe(500);
    expect(await statusOf(call("config"))).toBe(200);
    expect(await statusOf(call("user", { node: "hk-premium" }))).toBe(200);
    await control.setFaults({ ...noFaults, rules: [{ effect: { kind: "status", status: 503 } }] });
    expect(await statusOf(call("config"))).toBe(503);
    expect(await statusOf(fetch(`http://127.0.0.1:${xboard.port}/`))).toBe(200);
    await control.setFaults(noFaults);
    expect(await statusOf(call("config"))).toBe(200);
  });

  it("make everything, pages too, answer 503 in maintenance", async () => {
    await control.setFaults({ ...noFaults, maintenance: true });
    expect(await statusOf(call("config"))).toBe(503);
    expect(await statusOf(call("push", { body: "{}" }))).toBe(503);
    expect(await statusOf(fetch(`http://127.0.0.1:${xboard.port}/`))).toBe(503);
  });

  it("delay an answer, and the record shows it", async () => {
    await control.setFaults({
      ...noFaults,
      rules: [{ endpoint: "user", effect: { kind: "delay", milliseconds: 120 } }],
    });
    expect(await statusOf(call("user"))).toBe(200);
    const [seen] = (await control.requests()).requests;
    expect((seen?.endMilliseconds ?? 0) - (seen?.startMilliseconds ?? 0)).toBeGreaterThanOrEqual(115);
  });

  it.each([{ kind: "hang" } as const, { kind: "delay", milliseconds: 5_000 } as const])(
    "wait with %p until the caller goes away",
    async (effect) => {
      await control.setFaults({ ...noFaults, rules: [{ effect }] });
      await expect(call("config", { signal: AbortSignal.timeout(100) })).rejects.toThrow();
      await sleep(50);
      const { requests } = await control.requests();
      expect(requests).toHaveLength(1);
      expect(requests[0]).toMatchObject({ nodeId: "11", endpoint: "config", status: 0, aborted: true });
    },
  );

  it("are refused with every problem when they are wrong", async () => {
    const response = await fetch(`http://127.0.0.1:${xboard.controlPort}/faults`, {
      method: "PUT",
      body: JSON.stringify({
        rules: [{ effect: { kind: "status", status: 200 } }, { effect: { kind: "explode" } }, 7],
        ...{ maintenance: "yes", weather: "bad" },
      }),
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      problems: [
        "weather: must be one of rules, oldPanel, maintenance",
        "rules[0].effect.status: must be an integer from 400 to 599",
        "rules[1].effect.kind: must be one of status, delay, hang",
        "rules[2]: must be an object",
        "maintenance: must be true or false",
      ],
    });
    expect(xboard.state.faults).toEqual(noFaults);
  });
});

describe("the control port", () => {
  it("lists what the panel saw, X-Forwarded-For included and the token not", async () => {
    await statusOf(call("config", { headers: { "x-forwarded-for": "6.6.6.6,203.0.113.7" } }));
    await statusOf(call("config", { token: `${token}x` }));
    const { requests, dropped } = await control.requests();
    expect(dropped).toBe(0);
    expect(requests.map(({ nodeId, method, status }) => ({ nodeId, method, status }))).toEqual([
      { nodeId: "11", method: "GET", status: 200 },
      { nodeId: "11", method: "GET", status: 422 },
    ]);
    expect(requests.map(({ forwardedFor }) => forwardedFor)).toEqual(["6.6.6.6,203.0.113.7", undefined]);
    expect(JSON.stringify(requests)).not.toContain(token);
    await control.forgetRequests();
    expect((await control.requests()).requests).toEqual([]);
  });

  it("tells that it is there, and in one sentence that it is not", async () => {
    expect(await control.healthy()).toBe(true);
    const nobody = new XboardControl("http://127.0.0.1:9");
    expect(await nobody.healthy()).toBe(false);
    await expect(nobody.forgetRequests()).rejects.toThrow(
      /control port http:\/\/127\.0\.0\.1:9 does not answer/,
    );
  });

  it("forgets the oldest requests when there are very many", async () => {
    const small = await startXboard({
      token,
      nodeIds: ["11"],
      port: 0,
      controlPort: 0,
      host: "127.0.0.1",
      remembered: 10,
    });
    for (let turn = 0; turn < 25; turn += 1) await statusOf(fetch(`http://127.0.0.1:${small.port}/`));
    const { requests, dropped } = small.state.requests;
    expect(requests.length + dropped).toBe(25);
    expect(requests.length).toBeLessThanOrEqual(11);
    await small.close();
  });
});

describe("the container's entry point", () => {
  let directory: string;
  const outfile = () => join(directory, "xboard.cjs");

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "vpsight-xboard-"));
    await buildXboard(outfile());
  });

  afterAll(() => rm(directory, { recursive: true, force: true }));

  function run(env: Record<string, string>) {
    const child = spawn(process.execPath, [outfile()], { env, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    return { child, ended, output: () => output };
  }

  it("runs as one file, keeps the token to itself and ends on SIGTERM", async () => {
    const started = run({ PANEL_TOKEN: token, PANEL_NODES: "11,12", PORT: "0", CONTROL_PORT: "0" });
    while (!started.output().includes("control on")) await sleep(20);
    const port = /panel on (\d+)/.exec(started.output())?.[1] ?? "";
    const query = `node_id=12&node_type=vless&token=${token}`;
    expect(await statusOf(fetch(`http://127.0.0.1:${port}/api/v1/server/UniProxy/config?${query}`))).toBe(
      200,
    );
    started.child.kill("SIGTERM");
    expect(await started.ended).toBe(0);
    expect(started.output()).not.toContain(token);
  });

  it("says everything that is missing", async () => {
    const started = run({ PORT: "http" });
    expect(await started.ended).toBe(1);
    expect(started.output()).toBe(
      [
        "The Xboard stand-in cannot start:",
        "  PANEL_TOKEN: must be set",
        "  PANEL_NODES: must be set",
        '  PORT: must be an integer from 0 to 65535; got "http"',
        "Set them in its Pod.\n",
      ].join("\n"),
    );
  });
});
