import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { Reader, Writer } from "protobufjs/minimal";
import { portNumber, type ProbeAction, runProbe } from "../../sandbox/kubelet/probe";
import { Prober } from "../../sandbox/kubelet/prober";
import { ProbeState } from "../../sandbox/kubelet/probeState";

describe("probe thresholds", () => {
  const verdicts = (state: ProbeState, results: string) =>
    [...results].map((result) => {
      state.record(result === "+");
      return state.verdict === undefined ? "?" : state.verdict ? "+" : "-";
    });

  test.each([
    [{}, undefined, "--+---", "??+++-"],
    [{ failureThreshold: 1 }, false, "+-+", "+-+"],
    [{ successThreshold: 2, failureThreshold: 2 }, false, "+-++--", "---++-"],
    [{ failureThreshold: 3 }, true, "--+--", "+++++"],
  ])("%j starting %s: %s gives %s", (probe, initial, results, expected) => {
    expect(verdicts(new ProbeState(probe, initial), results).join("")).toBe(expected);
  });

  test("record tells a changed verdict, once", () => {
    const state = new ProbeState({ failureThreshold: 2 }, true);
    expect([false, false, false, true].map((result) => state.record(result))).toEqual([
      false,
      true,
      false,
      true,
    ]);
  });
});

describe("probes on real servers", () => {
  const container = { name: "web", ports: [{ name: "http", containerPort: 8080 }] };
  const exec = async (command: string[]) => ({ exitCode: Number(command[0]), output: "said so" });
  const probe = (action: ProbeAction, timeout = 2000) =>
    runProbe(action, { container, podAddress: "127.0.0.1", exec }, timeout);

  test("httpGet: 200 to 399 is healthy, headers are sent, a slow answer is not", async () => {
    const server = createServer((request, response) => {
      if (request.url === "/slow") return;
      response.statusCode = Number(request.url?.slice(1));
      if (request.headers["x-probe"] !== "yes") response.statusCode = 400;
      response.end();
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
      const { port } = server.address() as AddressInfo;
      const get = (path: string, timeout?: number) =>
        probe({ httpGet: { path, port, httpHeaders: [{ name: "X-Probe", value: "yes" }] } }, timeout);
      expect(await get("/200")).toEqual({ healthy: true, message: "HTTP 200" });
      expect(await get("/302")).toEqual({ healthy: true, message: "HTTP 302" });
      expect(await get("/503")).toEqual({ healthy: false, message: "HTTP 503" });
      expect((await get("/slow", 100)).healthy).toBe(false);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test("tcpSocket: an open port is healthy, a closed one is not", async () => {
    const server = createTcpServer((socket) => socket.on("error", () => undefined));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    try {
      expect(await probe({ tcpSocket: { port } })).toEqual({ healthy: true, message: "connected" });
    } finally {
      server.close();
    }
    await once(server, "close");
    expect((await probe({ tcpSocket: { port } })).healthy).toBe(false);
  });

  test("grpc: only SERVING is healthy", async () => {
    const server = new Server();
    server.addService(
      {
        check: {
          path: "/grpc.health.v1.Health/Check",
          requestStream: false,
          responseStream: false,
          requestDeserialize: (message: Buffer) => {
            const reader = Reader.create(message);
            return { service: reader.uint32() === 10 ? reader.string() : "?" };
          },
          requestSerialize: ({ service }: { service: string }) => Buffer.from(service),
          responseSerialize: (status: number) =>
            Buffer.from(Writer.create().uint32(8).int32(status).finish()),
          responseDeserialize: (message: Buffer) => message.length,
        },
      },
      {
        check: (call: { request: { service: string } }, answer: (error: null, status: number) => void) =>
          answer(null, call.request.service === "bad" ? 2 : 1),
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    try {
      expect(await probe({ grpc: { port } })).toEqual({ healthy: true, message: "health status 1" });
      expect(await probe({ grpc: { port, service: "bad" } })).toEqual({
        healthy: false,
        message: "health status 2",
      });
    } finally {
      server.forceShutdown();
    }
    expect((await probe({ grpc: { port } }, 500)).healthy).toBe(false);
  });

  test("exec: exit code 0 is healthy", async () => {
    expect(await probe({ exec: { command: ["0"] } })).toEqual({
      healthy: true,
      message: "exit code 0 said so",
    });
    expect(await probe({ exec: { command: ["3"] } })).toEqual({
      healthy: false,
      message: "exit code 3 said so",
    });
  });

  test("ports by name; an unknown name fails the probe and says so", async () => {
    expect(portNumber("http", container)).toBe(8080);
    expect(portNumber(9090, container)).toBe(9090);
    expect((await probe({ tcpSocket: { port: "metrics" } })).message).toBe(
      'container web has no port named "metrics"',
    );
  });
});

test("startup comes first; liveness that fails tells its reason; nothing is told after stop", async () => {
  const events: string[] = [];
  let startupResult = 1;
  const health = { started: false };
  const quick = { periodSeconds: 0.01, failureThreshold: 2 };
  const prober = new Prober({
    target: {
      podAddress: "127.0.0.1",
      container: {
        name: "web",
        startupProbe: { ...quick, failureThreshold: 1000, exec: { command: ["startup"] } },
        readinessProbe: { ...quick, exec: { command: ["readiness"] } },
        livenessProbe: { ...quick, initialDelaySeconds: 0.1, exec: { command: ["liveness"] } },
      },
      exec: async ([kind]) => {
        if (kind === "startup") return { exitCode: startupResult, output: "" };
        if (!health.started) events.push(`${kind} before startup`);
        return { exitCode: kind === "liveness" ? 1 : 0, output: "" };
      },
    },
    onStarted: () => {
      health.started = true;
      events.push("started");
    },
    onReady: (ready) => events.push(ready ? "ready" : "not ready"),
    onUnhealthy: (reason) => {
      events.push(reason);
      prober.stop();
    },
    log: () => undefined,
  });
  prober.start();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(events).toEqual([]);
  startupResult = 0;
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(events).toEqual(["started", "ready", "liveness probe failed: exit code 1"]);
});
