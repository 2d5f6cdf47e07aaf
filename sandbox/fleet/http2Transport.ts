import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { connect, constants } from "node:http2";
import { monotonicMilliseconds } from "../ledger/clock";
import type { Exchange, OutgoingRequest, Target, Transport } from "./transport";
import { ConnectError, errorReason, openConnection } from "./transport";

/** How long calls under way may take when the client closes. */
const farewellMilliseconds = 2_000;

/** HTTP/2 over TLS on one connection, opened when first needed and again when it was lost: Go's way. */
export class Http2Transport implements Transport {
  private session: ClientHttp2Session | undefined;
  private opening: Promise<ClientHttp2Session> | undefined;

  constructor(
    private readonly target: Target,
    private readonly localAddress: string,
    /** Bytes to send on each connection before TLS begins. Default: none. */
    private readonly preamble?: Buffer,
  ) {}

  async exchange(request: OutgoingRequest, timeoutMilliseconds: number): Promise<Exchange> {
    const deadline = monotonicMilliseconds() + timeoutMilliseconds;
    try {
      const session = await this.connected(timeoutMilliseconds);
      return await this.send(session, request, deadline);
    } catch (error) {
      return { sent: false, reason: errorReason(error) };
    }
  }

  async close(): Promise<void> {
    const session = await (this.opening?.catch(() => undefined) ?? this.session);
    this.session = undefined;
    if (session === undefined || session.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => session.destroy(), farewellMilliseconds);
      session.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      session.close();
    });
  }

  /** Calls that come while a connection is being opened wait for that one. */
  private connected(timeoutMilliseconds: number): Promise<ClientHttp2Session> {
    const { session } = this;
    if (session !== undefined && !session.closed && !session.destroyed) return Promise.resolve(session);
    this.opening ??= this.connect(timeoutMilliseconds)
      .then((opened) => (this.session = opened))
      .finally(() => (this.opening = undefined));
    return this.opening;
  }

  private async connect(timeoutMilliseconds: number): Promise<ClientHttp2Session> {
    const { target, localAddress, preamble } = this;
    const socket = await openConnection({
      ...{ target, localAddress, protocol: "h2", timeoutMilliseconds },
      ...(preamble === undefined ? {} : { preamble }),
    });
    const session = connect(`https://${target.serverName}`, { createConnection: () => socket });
    // Streams tell of failures one by one; the session's own error would only end the process.
    session.on("error", () => undefined);
    await new Promise<void>((resolve, reject) => {
      session.once("connect", () => resolve());
      session.once("close", () => reject(new ConnectError("closed by the server")));
    });
    return session;
  }

  private send(session: ClientHttp2Session, request: OutgoingRequest, deadline: number): Promise<Exchange> {
    const { method, path, query, headers, body } = request;
    const startMilliseconds = monotonicMilliseconds();
    const stream = session.request(
      {
        ":method": method,
        ":path": path + query,
        ":scheme": "https",
        ":authority": this.target.serverName,
        ...headers,
        ...(body === "" ? {} : { "content-length": String(Buffer.byteLength(body)) }),
      },
      { endStream: body === "" },
    );
    if (body !== "") stream.end(body);
    return new Promise((resolve) => {
      let code = 0;
      let responseBytes = 0;
      let etag: string | undefined;
      let reason: string | undefined;
      let endMilliseconds: number | undefined;
      stream.on("response", (answer) => {
        code = answer[":status"] ?? 0;
        etag = answer.etag;
      });
      stream.on("data", (chunk: Buffer) => (responseBytes += chunk.length));
      stream.on("end", () => {
        // `end` also comes before the `close` of a stream that was reset; a code tells an answer from that.
        if (code !== 0 && reason === undefined && !stream.aborted) endMilliseconds ??= monotonicMilliseconds();
      });
      stream.on("error", (error) => (reason ??= errorReason(error)));
      const timer = setTimeout(
        () => {
          reason = "timeout";
          // Before the reset, so that it is never later than the gateway's end.
          endMilliseconds = monotonicMilliseconds();
          stream.close(constants.NGHTTP2_CANCEL);
        },
        Math.max(1, deadline - startMilliseconds),
      );
      stream.on("close", () => {
        clearTimeout(timer);
        if (wasNeverTaken(stream)) return resolve({ sent: false, reason: reason ?? "refused stream" });
        const finished = reason === undefined && endMilliseconds !== undefined && stream.rstCode === 0;
        if (!finished) reason ??= "connection lost";
        resolve({
          ...{ sent: true, code, finished, reason, startMilliseconds },
          endMilliseconds: endMilliseconds ?? monotonicMilliseconds(),
          ...{ requestBytes: Buffer.byteLength(body), responseBytes, etag },
        });
      });
    });
  }
}

/** No id: the headers never left. REFUSED_STREAM: the peer says that it did nothing with them (RFC 9113, 8.7). */
function wasNeverTaken(stream: ClientHttp2Stream): boolean {
  return stream.id === undefined || stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
}
