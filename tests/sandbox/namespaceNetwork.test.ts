import { mkdir, mkdtemp, rm, utimes, writeFile, readdir } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SandboxError } from "../../sandbox/error";
import { exposePort, openForward } from "../../sandbox/namespace/forward";
import { addressLines } from "../../sandbox/namespace/network";
import { runPaths } from "../../sandbox/namespace/run";
import { makeRunDirectory, sweepStaleRuns } from "../../sandbox/namespace/stale";

let temporary: string;
beforeEach(async () => {
  temporary = await mkdtemp(join(tmpdir(), "ns-"));
});
afterEach(() => rm(temporary, { recursive: true, force: true }));

describe("public addresses", () => {
  it("become host addresses, IPv6 usable at once", () => {
    expect(addressLines("replace", ["203.0.113.7", "2001:db8:4::1"])).toEqual([
      "addr replace 203.0.113.7/32 dev wan0",
      "addr replace 2001:db8:4::1/128 dev wan0 nodad",
    ]);
  });

  it("refuses all that are none, in one message", () => {
    expect(() => addressLines("del", ["203.0.113.7", "203.0.113.0/24", "jp-004; reboot"])).toThrow(
      new SandboxError('These are not IP addresses: "203.0.113.0/24", "jp-004; reboot".'),
    );
  });
});

describe("stale runs", () => {
  it("are swept when their launcher is dead, reused its number, or never signed", async () => {
    const own = await makeRunDirectory(temporary);
    const make = async (name: string, owner: unknown) => {
      const directory = join(temporary, name);
      await mkdir(join(directory, "inner"), { recursive: true });
      if (owner !== undefined) await writeFile(join(directory, "launcher.json"), JSON.stringify(owner));
      return directory;
    };
    const dead = await make("vpsight-run-dead", { pid: 4_194_305, startTime: "1" });
    const reused = await make("vpsight-run-reused", { pid: process.pid, startTime: "1" });
    const unsigned = await make("vpsight-run-unsigned", undefined);
    const longAgo = new Date(Date.now() - 120_000);
    await utimes(unsigned, longAgo, longAgo);
    const fresh = await make("vpsight-run-fresh", undefined);
    const other = await make("someone-elses", { pid: 4_194_305, startTime: "1" });

    expect((await sweepStaleRuns(temporary)).toSorted()).toEqual([dead, reused, unsigned].toSorted());
    const left = (await readdir(temporary)).map((name) => join(temporary, name));
    expect(left.toSorted()).toEqual([own, fresh, other].toSorted());
  });

  it("refuses a temporary directory that is too deep for unix sockets, and leaves nothing in it", async () => {
    const deep = join(temporary, "d".repeat(60));
    await mkdir(deep);
    await expect(makeRunDirectory(deep)).rejects.toThrow(/Set TMPDIR to a shorter one/);
    expect(await readdir(deep)).toEqual([]);
  });
});

describe("a forwarded port", () => {
  let server: Server;
  let port: number;

  beforeEach(async () => {
    await mkdir(runPaths(temporary).forwards);
    // Answers only after the caller has ended its side: half-closed connections must survive the way.
    server = createServer({ allowHalfOpen: true }, (socket) => {
      let got = "";
      socket.on("data", (data) => (got += data.toString()));
      socket.on("end", () => socket.end(`got ${got.length}`));
      socket.on("error", () => undefined);
    });
    port = await new Promise((resolve) =>
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      }),
    );
  });
  afterEach(() => server.close());

  const ask = (target: number, text: string) =>
    new Promise<string>((resolve) => {
      let answer = "";
      const socket = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true });
      socket.on("data", (data) => (answer += data.toString()));
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(answer));
      socket.on("end", () => socket.end());
      socket.end(text);
    });

  it("carries a connection both ways", async () => {
    const inside = await exposePort(temporary, "web", { host: "127.0.0.1", port });
    const outside = await openForward(temporary, { name: "web", port: 0 });
    expect(await ask(outside.port, "x".repeat(300_000))).toBe("got 300000");
    await outside.close();
    await inside.close();
  });

  it("ends a connection that nobody answers inside, and serves the next when somebody does", async () => {
    const outside = await openForward(temporary, { name: "web", port: 0 });
    expect(await ask(outside.port, "early")).toBe("");
    const inside = await exposePort(temporary, "web", { host: "127.0.0.1", port });
    expect(await ask(outside.port, "later")).toBe("got 5");
    await inside.close();
    await outside.close();
  });
});
