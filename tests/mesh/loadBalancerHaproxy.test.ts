/** On a real HAProxy, on loopback: what it writes to targets, and that a new configuration costs no connection. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Haproxy } from "../../sandbox/loadBalancer/haproxy";
import { partPath } from "../../sandbox/parts/find";

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");

/** Answers each "ping" with what came before it on the connection, in hex. */
function echoServer(): Server {
  return createServer((socket) => {
    let received = Buffer.alloc(0);
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("ping");
      if (end < 0) return;
      socket.write(`${received.subarray(0, end).toString("hex")}\n`);
      received = received.subarray(end + 4);
    });
  });
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function ping(socket: Socket, before = ""): Promise<Buffer> {
  const answer = new Promise<Buffer>((resolve, reject) => {
    socket.once("data", (chunk) => resolve(Buffer.from(chunk.toString("utf8").trim(), "hex")));
    socket.once("close", () => reject(new Error("connection lost")));
    socket.once("error", reject);
  });
  socket.write(`${before}ping`);
  return answer;
}

describe("HAProxy as the load balancer runs it", () => {
  const sockets = new Set<Socket>();
  const lost: string[] = [];
  let directory: string;
  let haproxy: Haproxy;
  let target: Server;
  let targetPort: number;
  let port: number;

  const open = (localAddress = "127.0.0.1"): Socket => {
    const socket = connect({ host: "127.0.0.1", port, localAddress });
    socket.setNoDelay();
    sockets.add(socket);
    return socket;
  };
  const apply = (proxyProtocol: boolean): Promise<void> =>
    haproxy.apply({
      addresses: ["127.0.0.1"],
      ports: [port],
      targets: [{ port, address: "127.0.0.1", targetPort }],
      proxyProtocol,
    });

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "vpsight-lb-"));
    target = echoServer();
    targetPort = await listen(target);
    const free = createServer();
    port = await listen(free);
    free.close();
    await once(free, "close");
    haproxy = new Haproxy(partPath("haproxy"), directory, (reason) => lost.push(reason));
  });

  afterAll(async () => {
    for (const socket of sockets) socket.destroy();
    await haproxy.stop();
    target.close();
    await rm(directory, { recursive: true, force: true });
  });

  test("the header is there exactly when asked for, with the client's address", async () => {
    await apply(false);
    expect((await ping(open())).length).toBe(0);
    await apply(true);
    const header = await ping(open("127.0.0.9"));
    expect(header.subarray(0, 12)).toEqual(signature);
    // Version 2, command PROXY; TCP over IPv4; 12 bytes of addresses.
    expect([...header.subarray(12, 16)]).toEqual([0x21, 0x11, 0, 12]);
    expect([...header.subarray(16, 20)]).toEqual([127, 0, 0, 9]);
    expect(header.readUInt16BE(26)).toBe(port);
    expect(header.length).toBe(28);
  });

  test("a forged header is payload behind the true one", async () => {
    await apply(true);
    const forged = "PROXY TCP4 6.6.6.6 198.18.0.10 1234 443\r\n";
    const received = await ping(open("127.0.0.9"), forged);
    expect([...received.subarray(16, 20)]).toEqual([127, 0, 0, 9]);
    expect(received.subarray(28).toString("utf8")).toBe(forged);
  });

  test("apply resolves when the setting is in force: the very next connection has it", async () => {
    for (let turn = 0; turn < 6; turn++) {
      const wanted = turn % 2 === 0;
      await apply(wanted);
      const headers = await Promise.all(Array.from({ length: 8 }, () => ping(open())));
      expect(headers.map((header) => header.length > 0)).toEqual(Array.from({ length: 8 }, () => wanted));
    }
  }, 30_000);

  test("changes under load cost no connection, new or old", async () => {
    await apply(false);
    const old = open();
    await ping(old);
    let done = false;
    let answers = 0;
    const failures: string[] = [];
    const load = Array.from({ length: 4 }, async () => {
      while (!done) {
        const socket = open();
        try {
          await ping(socket);
          answers += 1;
        } catch (error) {
          failures.push(String(error));
        }
        socket.destroy();
        sockets.delete(socket);
      }
    });
    for (let turn = 0; turn < 4; turn++) await apply(turn % 2 === 0);
    done = true;
    await Promise.all(load);
    expect(failures).toEqual([]);
    expect(answers).toBeGreaterThan(20);
    // It was accepted four configurations ago, and keeps what was in force then.
    expect((await ping(old)).length).toBe(0);
    expect(lost).toEqual([]);
  }, 30_000);

  test("a configuration that HAProxy refuses leaves the old one in force", async () => {
    await apply(true);
    await expect(
      haproxy.apply({ addresses: ["192.0.2.1"], ports: [port], targets: [], proxyProtocol: false }),
    ).rejects.toThrow(/haproxy ended before it was ready/);
    expect((await ping(open())).length).toBe(28);
    await apply(false);
    expect((await ping(open())).length).toBe(0);
  }, 30_000);
});
