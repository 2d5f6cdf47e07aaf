/**
 * Ports of the sandbox on the host. A unix socket crosses network namespaces (it belongs to the file system),
 * so the program inside serves one per port (`exposePort`) and the launcher outside joins it to 127.0.0.1.
 */
import { rm } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { forwardSocket } from "./run";

/** A port wanted on the host. */
export interface Forward {
  /** Name of the port on both sides, e.g. `prometheus`. */
  readonly name: string;
  /** Host port to take if it is free; any free one otherwise. */
  readonly port: number;
}

/** An open listener. */
export interface OpenForward {
  readonly name: string;
  /** The host port taken. */
  readonly port: number;
  close(): Promise<void>;
}

/** Outside: listens on 127.0.0.1 and joins each connection to the run's socket of that name. */
export async function openForward(directory: string, forward: Forward): Promise<OpenForward> {
  const relay = new Relay(() =>
    connect({ path: forwardSocket(directory, forward.name), allowHalfOpen: true }),
  );
  await relay.listen({ host: "127.0.0.1", port: forward.port }).catch((error: unknown) => {
    if (!isTaken(error)) throw error;
    return relay.listen({ host: "127.0.0.1", port: 0 });
  });
  return { name: forward.name, port: relay.port(), close: () => relay.close() };
}

/** Inside: serves the run's socket `name` by connecting to `target`, which need not listen yet. */
export async function exposePort(
  directory: string,
  name: string,
  target: { readonly host: string; readonly port: number },
): Promise<{ close(): Promise<void> }> {
  const path = forwardSocket(directory, name);
  await rm(path, { force: true });
  const relay = new Relay(() => connect({ host: target.host, port: target.port, allowHalfOpen: true }));
  await relay.listen({ path });
  return { close: () => relay.close() };
}

/** Accepts connections and joins each to a fresh one; the end or failure of one side ends the other. */
class Relay {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  constructor(private readonly dial: () => Socket) {
    this.server = createServer({ allowHalfOpen: true }, (near) => this.join(near));
  }

  async listen(options: { host: string; port: number } | { path: string }): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(options, () => {
        this.server.off("error", reject);
        resolve();
      });
    });
  }

  port(): number {
    const address: AddressInfo | string | null = this.server.address();
    if (address === null || typeof address === "string") throw new Error("the relay does not listen on TCP");
    return address.port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.server.close(() => resolve()));
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private join(near: Socket): void {
    const far = this.dial();
    this.track(near, far);
    this.track(far, near);
    near.pipe(far);
    far.pipe(near);
  }

  private track(socket: Socket, other: Socket): void {
    this.sockets.add(socket);
    socket.on("error", () => other.destroy());
    socket.on("close", () => {
      this.sockets.delete(socket);
      // A socket closed in order has ended its writing side; pipe() has told the other already.
      if (!socket.readableEnded) other.destroy();
    });
  }
}

function isTaken(error: unknown): boolean {
  if (typeof error !== "object" || error === null || !("code" in error)) return false;
  return error.code === "EADDRINUSE" || error.code === "EACCES";
}
