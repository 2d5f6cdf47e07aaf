import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** How long the requests of a paced load took. */
export interface Latencies {
  /** Milliseconds from sending (or, when no connection was free, from when it was due) to the whole answer. */
  p50: number;
  p99: number;
}

const headerEnd = Buffer.from("\r\n\r\n");

/**
 * Requests that a burst sends at once on a connection. The gateway takes one after the other, and always finds the next:
 * otherwise it would spend most of its time on falling asleep and waking up, differently from turn to turn.
 */
const pipelined = 16;

/**
 * HTTP/1.1 over kept-alive loopback connections. Bounded by construction: each has at most `pipelined` requests open, and no
 * answer is looked at beyond its length.
 */
export class LoadGenerator {
  private constructor(private readonly connections: readonly Connection[]) {}

  static async open(
    port: number,
    connections: number,
    request: Buffer,
    bodyBytes: number,
  ): Promise<LoadGenerator> {
    return new LoadGenerator(
      await Promise.all(Array.from({ length: connections }, () => Connection.open(port, request, bodyBytes))),
    );
  }

  /** As fast as answers come. @returns how many requests were answered. */
  async saturate(seconds: number): Promise<number> {
    const end = performance.now() + seconds * 1e3;
    let requests = 0;
    const work = async (connection: Connection) => {
      for (; performance.now() < end; requests += pipelined) await connection.exchange(pipelined);
    };
    await Promise.all(this.connections.map(work));
    return requests;
  }

  /** At an even pace, as a fleet calls. */
  async pace(seconds: number, requestsPerSecond: number): Promise<Latencies> {
    const started = performance.now();
    const total = Math.round(seconds * requestsPerSecond);
    const latencies: number[] = [];
    let next = 0;
    const work = async (connection: Connection) => {
      while (next < total) {
        const due = started + (next / requestsPerSecond) * 1e3;
        next += 1;
        const early = due - performance.now();
        if (early > 0) await delay(early);
        // A timer that fires late is the sender's fault; a connection that was busy is not.
        const begun = early > 0 ? performance.now() : due;
        await connection.exchange(1);
        latencies.push(performance.now() - begun);
      }
    };
    await Promise.all(this.connections.map(work));
    return summarise(latencies);
  }

  close(): void {
    for (const connection of this.connections) connection.close();
  }
}

class Connection {
  private answered: (() => void) | undefined;
  private failed: ((error: Error) => void) | undefined;
  private received: Buffer = Buffer.alloc(0);
  private waiting = 0;

  private constructor(
    private readonly socket: Socket,
    private readonly request: Buffer,
    private readonly bodyBytes: number,
  ) {
    socket.on("data", (chunk: Buffer) => this.take(chunk));
    socket.on("error", (error) => this.failed?.(error));
    socket.on("close", () => this.failed?.(new Error("the gateway closed a connection under load")));
  }

  static open(port: number, request: Buffer, bodyBytes: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => resolve(new Connection(socket, request, bodyBytes)));
    });
  }

  /** Sends as many requests at once, and waits for all their answers. */
  exchange(requests: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.answered = resolve;
      this.failed = reject;
      this.waiting = requests;
      this.socket.write(requests === 1 ? this.request : Buffer.concat(Array(requests).fill(this.request)));
    });
  }

  close(): void {
    this.failed = undefined;
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    let start = 0;
    for (;;) {
      const head = this.received.indexOf(headerEnd, start);
      const end = head + headerEnd.length + this.bodyBytes;
      if (head < 0 || this.received.length < end) break;
      const status = this.received.toString("latin1", start + 9, start + 12);
      if (status !== "200") this.failed?.(new Error(`the gateway answered with status ${status}`));
      start = end;
      this.waiting -= 1;
    }
    this.received = this.received.subarray(start);
    if (start > 0 && this.waiting === 0) this.answered?.();
  }
}

function summarise(latencies: readonly number[]): Latencies {
  const sorted = Float64Array.from(latencies).sort();
  const quantile = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: quantile(0.5), p99: quantile(0.99) };
}
