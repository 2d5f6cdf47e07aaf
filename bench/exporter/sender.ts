import type { ClientHttp2Session, IncomingHttpHeaders } from "node:http2";
import { connect } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { exportPath } from "../../exporter/receive/server";
import type { SampleBatch } from "./batches";
import { freshMessage } from "./batches";

/** Two connections like a gateway with two workers, and calls enough to keep the exporter busy. */
const connections = 2;
const callsPerConnection = 8;

/**
 * Sends batches over loopback gRPC, without a gRPC library: the other core must not be what is measured. Every call
 * has to succeed, or the figures would be about refusals.
 */
export class BatchSender {
  private readonly sessions: ClientHttp2Session[];
  private serial = 0;

  constructor(
    port: number,
    private readonly batches: readonly SampleBatch[],
  ) {
    this.sessions = Array.from({ length: connections }, () => connect(`http://127.0.0.1:${port}`));
  }

  /**
   * Sends for some time.
   * @param recordsPerSecond the pace; default as fast as answers come.
   * @returns how many records were taken.
   */
  async send(seconds: number, recordsPerSecond = Number.POSITIVE_INFINITY): Promise<number> {
    const started = performance.now();
    const end = started + seconds * 1_000;
    let sent = 0;
    const work = async (session: ClientHttp2Session) => {
      while (performance.now() < end) {
        const batch = this.batches[this.serial % this.batches.length];
        if (batch === undefined) throw new Error("there are no batches to send");
        this.serial += 1;
        sent += batch.records;
        const due = started + (sent / recordsPerSecond) * 1_000;
        if (due > performance.now()) await delay(due - performance.now());
        await call(session, freshMessage(batch, this.serial));
      }
    };
    const workers = this.sessions.flatMap((session) =>
      Array.from({ length: callsPerConnection }, () => work(session)),
    );
    await Promise.all(workers);
    return sent;
  }

  close(): void {
    for (const session of this.sessions) session.destroy();
  }
}

function call(session: ClientHttp2Session, message: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ":method": "POST",
      ":path": exportPath,
      "content-type": "application/grpc",
      te: "trailers",
    });
    let status: unknown;
    stream.on("response", (headers: IncomingHttpHeaders) => (status = headers["grpc-status"] ?? status));
    stream.on("trailers", (trailers: IncomingHttpHeaders) => (status = trailers["grpc-status"]));
    stream.on("error", reject);
    stream.on("close", () => {
      if (status === "0") resolve();
      else reject(new Error(`the exporter answered with gRPC status ${String(status)}`));
    });
    stream.resume();
    stream.end(message);
  });
}
