import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** What a burst of requests came to. */
export interface LoadResult {
  requests: number;
  /** Milliseconds from sending (or, when no connection was free, from when it was due) to the whole answer. */
  p50: number;
  p99: number;
}

const headerEnd = Buffer.from("\r\n\r\n");

/**
 * HTTP/1.1 over kept-alive loopback connections, one request at a time on each. Bounded by construction: it never has
 * more requests open than connections, and no answer is looked at beyond its length.
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

  /** As fast as answers come. */
  async saturate(seconds: number): Promise<LoadResult> {
    const end = performance.now() + seconds * 1e3;
    const latencies: number[] = [];
    const work = async (connection: Connection) => {
      for (let now = performance.now(); now < end;) {
        await connection.exchange();
        const after = performance.now();
        latencies.push(after - now);
        now = after;
      }
    };
    await Promise.all(this.connections.map(work));
    return summarise(latencies);
  }

  /** At an even pace, as a fleet calls. */
  async pace(seconds: number, requestsPerSecond: number): Promise<LoadResult> {
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
        await connection.exchange();
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

  exchange(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.answered = resolve;
      this.failed = reject;
      this.socket.write(this.request);
    });
  }

  close(): void {
    this.failed = undefined;
    this.socket.destroy();
  }

  private take(chunk: Buffer): void {
    this.received = this.received.length === 0 ? chunk : Buffer.concat([this.received, chunk]);
    const head = this.received.indexOf(headerEnd);
    if (head < 0 || this.received.length < head + headerEnd.length + this.bodyBytes) return;
    const status = this.received.toString("latin1", 9, 12);
    this.received = Buffer.alloc(0);
    if (status === "200") this.answered?.();
    else this.failed?.(new Error(`the gateway answered with status ${status}`));
  }
}

function summarise(latencies: readonly number[]): LoadResult {
  const sorted = Float64Array.from(latencies).sort();
  const quantile = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { requests: sorted.length, p50: quantile(0.5), p99: quantile(0.99) };
}
