import type { ClientRequestArgs } from "node:http";
import { Agent, request as sendRequest } from "node:http";
import type { Duplex } from "node:stream";
import { monotonicMilliseconds } from "../ledger/clock";
import type { Exchange, OutgoingRequest, Target, Transport } from "./transport";
import { errorReason, openConnection } from "./transport";

/**
 * Hands out TLS connections that are already established. Node's own https.Agent gives a request its socket
 * before the handshake, which would make "the headers went out" a guess.
 */
class ConnectedAgent extends Agent {
  constructor(
    private readonly target: Target,
    private readonly localAddress: string,
  ) {
    super({ keepAlive: true });
  }

  override createConnection(options: ClientRequestArgs, done: (error: Error | null, stream: Duplex) => void): undefined {
    const { target, localAddress } = this;
    const timeoutMilliseconds = options.timeout ?? 30_000;
    openConnection({ target, localAddress, protocol: "http/1.1", timeoutMilliseconds }).then(
      (socket) => done(null, socket),
      // Node ignores the second argument when there is an error; its type asks for one.
      (error: Error) => (done as (error: Error) => void)(error),
    );
  }
}

/** HTTP/1.1 over TLS with keep-alive: clients and proxies that do not speak HTTP/2. */
export class Http1Transport implements Transport {
  private agent: ConnectedAgent;

  constructor(
    private readonly target: Target,
    private readonly localAddress: string,
  ) {
    this.agent = new ConnectedAgent(target, localAddress);
  }

  exchange(outgoing: OutgoingRequest, timeoutMilliseconds: number): Promise<Exchange> {
    const { method, path, query, headers, body } = outgoing;
    return new Promise((resolve) => {
      let startMilliseconds: number | undefined;
      let code = 0;
      let responseBytes = 0;
      let etag: string | undefined;
      const settle = (finished: boolean, reason: string | undefined) => {
        clearTimeout(timer);
        if (startMilliseconds === undefined) return resolve({ sent: false, reason: reason ?? "unknown error" });
        resolve({
          ...{ sent: true, code, finished, reason, startMilliseconds },
          endMilliseconds: monotonicMilliseconds(),
          ...{ requestBytes: Buffer.byteLength(body), responseBytes, etag },
        });
      };
      const request = sendRequest({
        ...{ agent: this.agent, method, path: path + query, timeout: timeoutMilliseconds },
        headers: {
          host: this.target.serverName,
          ...headers,
          ...(body === "" ? {} : { "content-length": String(Buffer.byteLength(body)) }),
        },
      });
      const timer = setTimeout(() => {
        settle(false, startMilliseconds === undefined ? "connect timeout" : "timeout");
        request.destroy();
      }, timeoutMilliseconds);
      // The agent hands over an established connection, and Node writes the headers right after this event.
      request.on("socket", () => (startMilliseconds = monotonicMilliseconds()));
      request.on("error", (error) => settle(false, errorReason(error)));
      request.on("response", (response) => {
        code = response.statusCode ?? 0;
        etag = response.headers.etag;
        response.on("data", (chunk: Buffer) => (responseBytes += chunk.length));
        response.on("end", () => settle(true, undefined));
        response.on("error", (error) => settle(false, errorReason(error)));
      });
      request.end(body === "" ? undefined : body);
    });
  }

  async close(): Promise<void> {
    this.agent.destroy();
    this.agent = new ConnectedAgent(this.target, this.localAddress);
  }
}
