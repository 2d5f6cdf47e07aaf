import { request } from "node:http";
import type { IncomingHttpHeaders } from "node:http";
import { createConnection } from "node:net";
import { gunzipSync } from "node:zlib";
import { maxConnections, MetricsServer } from "../../exporter/serve/http";
import { acceptsGzip } from "../../exporter/serve/metrics";
import { until } from "./running";

const pieces = Array.from({ length: 50 }, (_, index) => `metric_${index}{label="ä"} ${index}\n`.repeat(500));

let server: MetricsServer;
let reasons: string[] = [];
let failAfter = Number.POSITIVE_INFINITY;

beforeEach(async () => {
  [reasons, failAfter] = [[], Number.POSITIVE_INFINITY];
  server = await MetricsServer.start({
    listen: { host: "127.0.0.1", port: 0 },
    content: {
      notReady: () => reasons,
      status: async () => ({ version: "x", list: [1] }),
      metrics: async function* () {
        for (const [index, piece] of pieces.entries()) {
          if (index >= failAfter) throw new Error("s3cr3t");
          yield piece;
        }
      },
    },
  });
});

afterEach(() => server.close());

interface Answer {
  readonly code: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

function ask(path: string, method = "GET", headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: "127.0.0.1", port: server.port, path, method, headers, agent: false },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({ code: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
        );
        response.on("error", reject);
      },
    );
    sent.on("error", reject);
    sent.end();
  });
}

test("/metrics has all pieces in order, plain and compressed", async () => {
  const plain = await ask("/metrics");
  expect(plain.code).toBe(200);
  expect(plain.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(plain.headers["content-encoding"]).toBeUndefined();
  expect(plain.body.toString()).toBe(pieces.join(""));
  const zipped = await ask("/metrics?x=1", "GET", { "Accept-Encoding": "deflate, gzip;q=0.5" });
  expect(zipped.headers["content-encoding"]).toBe("gzip");
  expect(zipped.body.length).toBeLessThan(plain.body.length / 5);
  expect(gunzipSync(zipped.body).toString()).toBe(pieces.join(""));
});

test("/metrics/mesh is there only when it is wanted, and compressed like the rest", async () => {
  expect((await ask("/metrics/mesh")).code).toBe(404);
  const content = {
    notReady: () => [],
    status: () => Promise.resolve({}),
    metrics: async function* () {},
    mesh: async function* () {
      yield* pieces;
    },
  };
  const plain = server;
  server = await MetricsServer.start({ listen: { host: "127.0.0.1", port: 0 }, content });
  await plain.close();
  const zipped = await ask("/metrics/mesh", "GET", { "Accept-Encoding": "gzip" });
  expect([zipped.code, zipped.headers["content-encoding"]]).toEqual([200, "gzip"]);
  expect(gunzipSync(zipped.body).toString()).toBe(pieces.join(""));
});

test.each([
  ["gzip", true],
  ["GZIP;q=1", true],
  ["deflate, gzip;q=0.1", true],
  ["gzip;q=0", false],
  ["gzip; q=0.00", false],
  ["identity", false],
  ["xgzip", false],
  ["", false],
])("Accept-Encoding %j: gzip is %p", (header, expected) => {
  expect(acceptsGzip(header)).toBe(expected);
});

test("an exposition that breaks half-way breaks the answer instead of looking whole", async () => {
  failAfter = 10;
  await expect(ask("/metrics")).rejects.toThrow();
  await expect(ask("/metrics", "GET", { "Accept-Encoding": "gzip" })).rejects.toThrow();
  failAfter = Number.POSITIVE_INFINITY;
  expect((await ask("/metrics")).code).toBe(200);
});

test("/healthz is about the process, /readyz about the work", async () => {
  reasons = ["no inventory is loaded", "draining"];
  expect((await ask("/healthz")).code).toBe(200);
  const unready = await ask("/readyz");
  expect([unready.code, unready.body.toString()]).toEqual([
    503,
    "not ready: no inventory is loaded\nnot ready: draining\n",
  ]);
  reasons = [];
  expect((await ask("/readyz")).code).toBe(200);
});

test("/status is JSON that nobody keeps", async () => {
  const { code, headers, body } = await ask("/status");
  expect([code, headers["content-type"], headers["cache-control"]]).toEqual([
    200,
    "application/json; charset=utf-8",
    "no-store",
  ]);
  expect(JSON.parse(body.toString())).toEqual({ version: "x", list: [1] });
});

test("/ lists the paths, and allows nothing else in the page", async () => {
  const page = await ask("/");
  for (const path of ["/metrics", "/status", "/healthz", "/readyz"])
    expect(page.body.toString()).toContain(`href="${path}"`);
  expect(page.headers["content-security-policy"]).toMatch(/^default-src 'none';/);
});

test.each(["/", "/metrics", "/status", "/healthz", "/readyz"])(
  "HEAD %s has headers and no body",
  async (path) => {
    const head = await ask(path, "HEAD");
    const get = await ask(path);
    expect([head.code, head.headers["content-type"], head.body.length]).toEqual([
      200,
      get.headers["content-type"],
      0,
    ]);
  },
);

test.each(["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])("%s is not allowed", async (method) => {
  const answer = await ask("/metrics", method);
  expect([answer.code, answer.headers["allow"]]).toEqual([405, "GET, HEAD"]);
});

test.each(["/metrics/", "/Metrics", "//metrics", "/x", "/../metrics", "/metrics%00"])(
  "%s is not found",
  async (path) => {
    expect((await ask(path)).code).toBe(404);
  },
);

test("a client that never finishes its headers is cut off, and a scrape works meanwhile", async () => {
  const slow = createConnection(server.port, "127.0.0.1");
  const closed = new Promise<number>((resolve) => {
    const started = Date.now();
    slow
      .on("close", () => resolve(Date.now() - started))
      .on("error", () => undefined)
      .resume();
  });
  slow.write("GET /metrics HTTP/1.1\r\nHost: x\r\n");
  expect((await ask("/metrics")).code).toBe(200);
  expect(await closed).toBeLessThan(6_000);
}, 12_000);

test("a scraper that goes away in the middle does no harm", async () => {
  await new Promise<void>((resolve) => {
    const socket = createConnection(server.port, "127.0.0.1");
    socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    socket.once("data", () => socket.destroy());
    socket.on("close", () => resolve()).on("error", () => undefined);
  });
  expect((await ask("/metrics")).code).toBe(200);
});

test("a client that asks again before it has its answer is cut off", async () => {
  const answered = await new Promise<string>((resolve) => {
    const socket = createConnection(server.port, "127.0.0.1");
    let text = "";
    socket.setEncoding("utf8").on("data", (piece: string) => (text += piece));
    socket.on("close", () => resolve(text)).on("error", () => undefined);
    socket.write("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2));
  });
  expect(answered).not.toContain("metric_49");
  expect((await ask("/metrics")).code).toBe(200);
});

test("a scraper gets in whatever number of connections stand there, and only so many do", async () => {
  let ended = 0;
  const idle = Array.from({ length: maxConnections + 20 }, () =>
    createConnection(server.port, "127.0.0.1")
      .on("error", () => undefined)
      .on("close", () => (ended += 1))
      .resume(),
  );
  await Promise.all(idle.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  expect((await ask("/metrics")).code).toBe(200);
  // Sooner than those go that ask for nothing.
  await until(() => ended >= 20, 2_000);
  for (const socket of idle) socket.destroy();
});

test("however many scrape at one time, one piece is made in a turn of the event loop", async () => {
  let [inTurn, most] = [0, 0];
  const content = {
    notReady: () => [],
    status: async () => ({}),
    metrics: async function* () {
      for (let piece = 0; piece < 10; piece += 1) {
        inTurn += 1;
        most = Math.max(most, inTurn);
        yield "x";
      }
    },
  };
  const plain = server;
  server = await MetricsServer.start({ listen: { host: "127.0.0.1", port: 0 }, content });
  await plain.close();
  let watching = true;
  const nextTurn = () => {
    inTurn = 0;
    if (watching) setImmediate(nextTurn);
  };
  nextTurn();
  await Promise.all(Array.from({ length: 30 }, () => ask("/metrics")));
  watching = false;
  expect(most).toBeLessThanOrEqual(2);
});

test("a port that is taken is an error with the address in it", async () => {
  const content = { notReady: () => [], status: async () => ({}), metrics: async function* () {} };
  const second = MetricsServer.start({ listen: { host: "127.0.0.1", port: server.port }, content });
  await expect(second).rejects.toThrow(
    `Cannot listen on 127.0.0.1:${server.port} for HTTP: listen EADDRINUSE`,
  );
});
