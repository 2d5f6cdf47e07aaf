import { connect, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { exportPath } from "../../exporter/receive/server";
import { freshFrame, type RecordedBatch } from "./recording";

/** Two connections, as of a gateway with two workers, and calls enough to keep a receiver busy. */
const connections = 2;
const callsPerConnection = 8;

/** Sends recorded batches to any OTLP receiver over loopback; each call has to succeed. */
export class Replay {
  private readonly sessions: ClientHttp2Session[];
  private serial = 0;

  constructor(
    port: number,
    private readonly batches: readonly RecordedBatch[],
  ) {
    this.sessions = Array.from({ length: connections }, () => connect(`http://127.0.0.1:${port}`));
  }

  /** @returns how many records were taken: the first number that is at least what was asked for. */
  async send(records: number): Promise<number> {
    let sent = 0;
    const work = async (session: ClientHttp2Session) => {
      while (sent < records) {
        const batch = this.batches[this.serial % this.batches.length];
        if (batch === undefined) throw new RangeError("there is no batch to send");
        this.serial += 1;
        sent += batch.records;
        await exportBatch(session, freshFrame(batch, this.serial));
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
