import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { exportPath } from "../exporter/receive/server";
import { freshFrame, type RecordedBatch } from "./batch";

/** Two connections, as of a gateway with two workers, and calls enough to keep a receiver busy. */
const connections = 2;
const callsPerConnection = 8;

/**
 * Sends batches to any OTLP receiver over loopback, without a gRPC library: the sender's core must not be what is measured.
 * Each call has to succeed, or the figures would be about refusals.
 */
export class BatchSender {
  private readonly sessions: ClientHttp2Session[];
  private serial = 0;

  constructor(
    port: number,
    private readonly batches: readonly RecordedBatch[],
  ) {
    this.sessions = Array.from({ length: connections }, () => connect(`http://127.0.0.1:${port}`));
  }

  /** @returns how many records were taken: the first number that is at least what was asked for. */
  send(records: number): Promise<number> {
    return this.sendWhile((sent) => sent < records);
  }

  /**
   * Sends for some time.
   * @param recordsPerSecond the pace; default as fast as answers come.
   * @returns how many records were taken.
   */
  sendFor(seconds: number, recordsPerSecond = Number.POSITIVE_INFINITY): Promise<number> {
    const started = performance.now();
    return this.sendWhile(
      () => performance.now() < started + seconds * 1_000,
      (sent) => started + (sent / recordsPerSecond) * 1_000 - performance.now(),
    );
  }

  /** @param wait milliseconds before the call that makes so many records. */
  private async sendWhile(
    goesOn: (sent: number) => boolean,
    wait: (sent: number) => number = () => 0,
  ): Promise<number> {
    let sent = 0;
    const work = async (session: ClientHttp2Session) => {
      while (goesOn(sent)) {
        const batch = this.batches[this.serial % this.batches.length];
        if (batch === undefined) throw new RangeError("there is no batch to send");
        this.serial += 1;
        sent += batch.records;
        const milliseconds = wait(sent);
        if (milliseconds > 0) await delay(milliseconds);
        // A microsecond each: the exporter looks no closer.
        await exportBatch(session, freshFrame(batch, this.serial * 1_000));
      }
    };
    await Promise.all(
      this.sessions.flatMap((session) => Array.from({ length: callsPerConnection }, () => work(session))),
    );
    return sent;
  }

  close(): void {
    for (const session of this.sessions) session.destroy();
  }
}

function exportBatch(session: ClientHttp2Session, frame: Buffer): Promise<void> {
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
      else reject(new Error(`the receiver answered with gRPC status ${String(status)}`));
    });
    stream.resume();
    stream.end(frame);
  });
}
