import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { HttpSourceSettings } from "../../exporter/identify/httpSource";
import { HttpSource } from "../../exporter/identify/httpSource";
import { createLog } from "../../exporter/log";
import { CertificateAuthority } from "../../sandbox/controlPlane/certificates";
import type { Answer } from "./plane";
import { Plane, serveText } from "./plane";
import { until } from "./running";

const token = "s3cr3t-token-of-the-plane";

jest.setTimeout(20_000);

let folder = "";
let plane: Plane;
let source: HttpSource | undefined;
/** What the source told: texts, `kept` and a text, or `!` and the error. */
let told: string[] = [];
let logged: string[] = [];
/** Texts that are wrong. */
const wrong = "wrong";

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "vpsight-http-"));
  mkdirSync(join(folder, "state"));
  writeFileSync(join(folder, "token"), `${token}\n`);
  told = [];
  logged = [];
  plane = new Plane();
  await plane.start();
});

afterEach(async () => {
  source?.stop();
  await plane.stop();
  rmSync(folder, { recursive: true });
  for (const line of [...told, ...logged]) {
    expect(line).not.toContain(token);
    expect(line).not.toContain("s3cr3t-query");
  }
});

async function start(settings: Partial<HttpSourceSettings> = {}): Promise<void> {
  source = new HttpSource(
    {
      url: plane.url,
      tokenFile: join(folder, "token"),
      stateDirectory: join(folder, "state"),
      intervalSeconds: 0.03,
      timeoutMilliseconds: 5_000,
      ...settings,
    },
    createLog((line) => logged.push(line)),
  );
  await source.start({
    offer: async (text, keptSinceSeconds) => {
      told.push(keptSinceSeconds === undefined ? text : `kept ${text}`);
      return !text.startsWith(wrong);
    },
    failed: (error) => told.push(`!${error.message}`),
  });
}

/** Waits until something like this is told, from now on. */
async function hears(expected: string | RegExp): Promise<void> {
  const from = told.length;
  const fits = (text: string) => (typeof expected === "string" ? text === expected : expected.test(text));
  await until(
    () => told.slice(from).some(fits),
    8_000,
    () => `not told: ${String(expected)}; told: ${[...new Set(told)].join(" | ")}`,
  );
}

test("it asks with the token, takes gzip, and asks anew only for what changed", async () => {
  plane.answer = (response, request) => {
    if (request.headers["if-none-match"] === '"1"') response.writeHead(304).end();
    else response.writeHead(200, { etag: '"1"', "content-encoding": "gzip" }).end(gzipSync("one"));
  };
  await start();
  await hears("one");
  await until(() => plane.requests.length >= 3, 5_000);
  expect(plane.requests[0]).toMatchObject({ authorization: `Bearer ${token}`, "accept-encoding": "gzip" });
  expect(plane.requests.map((headers) => headers["if-none-match"]).slice(0, 3)).toEqual([
    undefined,
    '"1"',
    '"1"',
  ]);
  plane.serve("two");
  await hears("two");
  expect(new Set(told)).toEqual(new Set(["one", "two"]));
});

test("a changed ETag with the same text is the same text, and a plane without ETags is no trouble", async () => {
  let count = 0;
  plane.answer = (response) => {
    count += 1;
    response.writeHead(200, { etag: `"${count}"` }).end("one");
  };
  await start();
  await until(() => plane.requests.at(-1)?.["if-none-match"] === '"3"', 5_000);
  plane.answer = (response) => response.end("two");
  await hears("two");
  await until(() => plane.requests.at(-1)?.["if-none-match"] === undefined, 5_000);
  expect(new Set(told)).toEqual(new Set(["one", "two"]));
});

test("a wrong inventory is not sent again and again, and a right one is taken", async () => {
  plane.serve(wrong);
  await start();
  await hears(wrong);
  await until(() => plane.requests.at(-1)?.["if-none-match"] !== undefined, 5_000);
  plane.serve("right");
  await hears("right");
});

const withStatus =
  (code: number, headers: Readonly<Record<string, string>> = {}): Answer =>
  (response) =>
    response.writeHead(code, headers).end("body");

const elsewhere = { location: "http://127.0.0.1:1/elsewhere?token=s3cr3t-query" };

const bomb = gzipSync(Buffer.alloc(50_000_000));

const failures: readonly (readonly [string, Answer, RegExp])[] = [
  ["401", withStatus(401), /the token is not accepted \(status 401\)$/],
  ["403", withStatus(403), /the token is not accepted \(status 403\)$/],
  ["404", withStatus(404), /there is nothing at this URL \(status 404\)$/],
  ["500", withStatus(500), /: status 500$/],
  ["a status of its own", withStatus(299), /: status 299$/],
  ["a redirect", withStatus(302, elsewhere), /a redirect \(status 302\), and none is followed/],
  ["304 to a first question", withStatus(304), /status 304 to a question without If-None-Match$/],
  ["a web page", withStatus(200, { "content-type": "text/html" }), /is a web page, not an inventory$/],
  ["another compression", withStatus(200, { "content-encoding": "br" }), /another way than gzip$/],
  [
    "no gzip where gzip was promised",
    withStatus(200, { "content-encoding": "gzip" }),
    /incorrect header check/,
  ],
  ["bytes that are no text", (response) => response.end(Buffer.from([0x76, 0xff, 0xfe])), /is not UTF-8$/],
  [
    "the token sent back",
    (response) => response.end(`vps: [${token}]`),
    /the answer holds the token itself$/,
  ],
  ["no answer at all", () => undefined, /no complete answer within 0\.5 s$/],
  [
    "a body that never ends",
    (response) => {
      response.writeHead(200, { "content-length": "100" }).write("vps:");
    },
    /no complete answer within 0\.5 s$/,
  ],
  [
    "a body that breaks off",
    (response) => {
      response.writeHead(200, { "content-length": "100" }).write("vps: []", () => response.destroy());
    },
    /aborted \(ECONNRESET\)$/,
  ],
  [
    "gzip that breaks off",
    (response) => {
      const whole = gzipSync("vps: []".repeat(100));
      response.writeHead(200, { "content-encoding": "gzip" }).end(whole.subarray(0, whole.length - 10));
    },
    /unexpected end of file/,
  ],
  [
    "an end that may be a break",
    (_response, { socket }) => {
      socket.end("HTTP/1.1 200 OK\r\n\r\nvps: []");
    },
    /neither Content-Length nor chunks/,
  ],
  ["10 MB", (response) => response.end(Buffer.alloc(10_000_000, " ")), /more than 8388608 bytes$/],
  [
    "a gzip bomb",
    (response) => {
      response.writeHead(200, { "content-encoding": "gzip" }).end(bomb);
    },
    /more than 8388608 bytes$/,
  ],
  ["no HTTP", (_response, { socket }) => socket.end("hello\r\n\r\n"), /Parse Error/],
  [
    "headers without end",
    (_response, { socket }) => socket.end(`HTTP/1.1 200 OK\r\nx: ${"x".repeat(100_000)}\r\n\r\n`),
    /Header overflow/,
  ],
];

test.each(failures)(
  "%s: said, tried again, and the next good answer counts",
  async (_name, answer, problem) => {
    plane.answer = answer;
    // Only where the end of patience is what is tested is there little of it.
    await start({ timeoutMilliseconds: problem.source.includes("0\\.5 s") ? 500 : 5_000 });
    await hears(problem);
    expect(told.filter((word) => !word.startsWith("!"))).toEqual([]);
    expect(told[0]).toMatch(/^!The inventory http:\/\/127\.0\.0\.1:\d+\/fleet cannot be read: /);
    plane.serve("good");
    await hears("good");
  },
);

test("after a failure the last good one is confirmed, not fetched again", async () => {
  plane.serve("one");
  await start();
  await hears("one");
  plane.answer = withStatus(500);
  await hears(/status 500/);
  plane.serve("one");
  await hears("one");
  expect(plane.requests.at(-1)?.["if-none-match"]).toBeDefined();
});

test("a slow plane is waited for within the time-out", async () => {
  plane.answer = (response, request) => void setTimeout(() => serveText("slow")(response, request), 300);
  await start();
  await hears("slow");
  expect(told.filter((word) => word.startsWith("!"))).toEqual([]);
});

test("nobody listens, then somebody does", async () => {
  await plane.stop();
  await start();
  await hears(/ECONNREFUSED/);
  await plane.start();
  plane.serve("one");
  await hears("one");
});

test("a name that is none", async () => {
  await start({ url: new URL("https://plane.invalid/fleet") });
  await hears(/^!The inventory https:\/\/plane\.invalid\/fleet cannot be read: .*(ENOTFOUND|EAI_AGAIN)/);
});

test("an answer on another protocol", async () => {
  await start({ url: new URL(plane.url.href.replace("http:", "https:")) });
  await hears(/cannot be read: .*(EPROTO|SSL)/);
});

test("a server that takes the connection and says nothing", async () => {
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const bound = silent.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  await start({ url: new URL(`https://127.0.0.1:${port}/`), timeoutMilliseconds: 500 });
  await hears(/no complete answer within 0\.5 s$/);
  source?.stop();
  silent.close();
});

describe("the token", () => {
  test("is read anew for each question", async () => {
    plane.answer = (response, request) => {
      const fresh = request.headers.authorization === "Bearer another-token";
      if (fresh) response.end("one");
      else response.writeHead(401).end();
    };
    await start();
    await hears(/not accepted/);
    writeFileSync(join(folder, "token"), "another-token");
    await hears("one");
  });

  test("is never sent when its file holds none, and the file's content is not shown", async () => {
    writeFileSync(join(folder, "token"), `${token}\r\nx-evil: 1`);
    await start();
    await hears(
      /the token file .*\/token must hold 8 to 4096 characters without spaces; got 36 that are not so$/,
    );
    writeFileSync(join(folder, "token"), "");
    await hears(/got 0 that/);
    rmSync(join(folder, "token"));
    await hears(/the token file .*\/token cannot be read \(ENOENT\)$/);
    expect(plane.requests).toEqual([]);
  });

  test("is left out where none is configured", async () => {
    plane.serve("one");
    source = new HttpSource(
      { url: plane.url },
      createLog(() => undefined),
    );
    await source.start({
      offer: async (text) => {
        told.push(text);
        return true;
      },
      failed: () => undefined,
    });
    await until(() => told.length > 0, 5_000);
    expect(plane.requests[0]).not.toHaveProperty("authorization");
  });
});

describe("certificates", () => {
  let secure: Plane;
  let authority: CertificateAuthority;

  async function serveWith(...names: readonly string[]): Promise<void> {
    const { certificate, key } = await authority.issue("plane", {
      commonName: "plane",
      alternativeNames: names,
    });
    secure = new Plane({ cert: readFileSync(certificate, "utf8"), key: readFileSync(key, "utf8") });
    await secure.start();
    secure.serve("one");
  }

  beforeEach(async () => {
    authority = await CertificateAuthority.create(join(folder, "authority"), "test");
  });

  afterEach(() => secure.stop());

  test("of the configured authority are believed", async () => {
    await serveWith("127.0.0.1");
    await start({ url: secure.url, caFile: authority.certificate });
    await hears("one");
  });

  test("of nobody that is known are not, and the token is not sent", async () => {
    await serveWith("127.0.0.1");
    await start({ url: secure.url });
    await hears(/cannot be read: .*(self-signed certificate|SELF_SIGNED|unable to verify)/);
    expect(secure.requests).toEqual([]);
  });

  test("of another name are not", async () => {
    await serveWith("other.example");
    await start({ url: secure.url, caFile: authority.certificate });
    await hears(/cannot be read: Hostname\/IP does not match certificate's altnames/);
    expect(secure.requests).toEqual([]);
  });

  test("need an authority file that can be read", async () => {
    await serveWith("127.0.0.1");
    await start({ url: secure.url, caFile: join(folder, "none") });
    await hears(/the authorities file .*\/none cannot be read \(ENOENT\)$/);
  });
});

describe("what is kept", () => {
  const keptPath = () => join(folder, "state", "inventory-http");

  async function keep(text: string): Promise<void> {
    plane.serve(text);
    await start();
    await hears(text);
    await until(() => told.filter((word) => word === text).length >= 2, 5_000);
    source?.stop();
    await plane.stop();
    told = [];
    plane.requests.length = 0;
  }

  test("holds after a restart with the plane away, and its ETag saves the transfer when it is back", async () => {
    await keep("one");
    await start();
    expect(told).toEqual(["kept one"]);
    await hears(/ECONNREFUSED/);
    await plane.start();
    plane.serve("one");
    await hears("one");
    expect(plane.requests[0]).toHaveProperty("if-none-match");
  });

  test("says when the plane last confirmed it", async () => {
    await keep("one");
    utimesSync(keptPath(), 1_000, 1_000);
    const since: (number | undefined)[] = [];
    source = new HttpSource(
      { url: plane.url, stateDirectory: join(folder, "state") },
      createLog(() => undefined),
    );
    await source.start({ offer: async (_text, seconds) => since.push(seconds) > 0, failed: () => undefined });
    expect(since).toEqual([1_000]);
    source.stop();
    await plane.start();
    await start();
    await until(() => statSync(keptPath()).mtimeMs > Date.now() - 60_000, 5_000);
  });

  test("is never what is wrong", async () => {
    await keep("one");
    await plane.start();
    plane.serve(wrong);
    await start();
    await hears(wrong);
    source?.stop();
    told = [];
    await plane.stop();
    await start();
    expect(told).toEqual(["kept one"]);
  });

  test.each([
    ["damaged", (text: string) => text.replace(/one$/, "two"), /it is damaged/],
    ["cut", (text: string) => text.slice(0, 40), /it is damaged/],
    ["empty", () => "", /it is damaged/],
    ["of another URL", (text: string) => text.replace(/"url":"\w+"/, '"url":"0"'), /it is of another URL/],
  ])("is passed over with one line when it is %s", async (_name, change, problem) => {
    await keep("one");
    writeFileSync(keptPath(), change(readFileSync(keptPath(), "utf8")));
    await plane.start();
    plane.serve("two");
    await start();
    await hears("two");
    expect(told).not.toContain("kept one");
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatch(/"event":"kept inventory not usable"/);
    expect(logged[0]).toMatch(problem);
    expect(plane.requests[0]).not.toHaveProperty("if-none-match");
  });

  test("and found wrong is asked for in full", async () => {
    await keep("one");
    const content = readFileSync(keptPath(), "utf8");
    expect(content).toMatch(/one$/);
    await plane.start();
    plane.serve("two");
    source = new HttpSource(
      { url: plane.url, stateDirectory: join(folder, "state"), intervalSeconds: 0.03 },
      createLog((line) => logged.push(line)),
    );
    await source.start({ offer: async () => false, failed: () => undefined });
    await until(() => plane.requests.length > 0, 5_000);
    expect(plane.requests[0]).not.toHaveProperty("if-none-match");
  });

  test("holds neither token nor URL", async () => {
    await keep("one");
    const content = readFileSync(keptPath(), "utf8");
    for (const secret of [token, "s3cr3t-query", "127.0.0.1"]) expect(content).not.toContain(secret);
  });

  test("a state directory that cannot be written to is said once, and the inventory counts all the same", async () => {
    plane.serve("one");
    await start({ stateDirectory: join(folder, "none") });
    await until(() => told.filter((word) => word === "one").length >= 3, 5_000);
    expect(logged).toHaveLength(1);
    expect(logged[0]).toMatch(/"event":"inventory not kept for the next start".*ENOENT/);
  });
});

test("after stop() nothing is told and nothing is asked", async () => {
  plane.answer = () => undefined;
  await start({ timeoutMilliseconds: 10_000 });
  await until(() => plane.requests.length === 1, 5_000);
  source?.stop();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(told).toEqual([]);
  expect(plane.requests).toHaveLength(1);
});
