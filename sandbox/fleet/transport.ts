import { isIPv6, connect as connectTcp } from "node:net";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { connect as connectTls } from "node:tls";

/** The load balancer, as the fleet's DNS and certificates know it. */
export interface Target {
  /** Address for callers with an IPv4 address, e.g. `198.18.0.10`. */
  readonly ipv4: string;
  /** Address for callers with an IPv6 address; without it they cannot call. */
  readonly ipv6?: string;
  readonly port: number;
  /** DNS name of the panel: SNI, `:authority`, and what the certificate is checked against. */
  readonly serverName: string;
  /** PEM of the authority that the certificate must come from. */
  readonly ca: string;
}

/** A request as it goes out. */
export interface OutgoingRequest {
  readonly method: "GET" | "POST";
  /** Without the query string. */
  readonly path: string;
  /** With its `?`, or empty; may hold the token. */
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty text sends no body. */
  readonly body: string;
}

/** A try whose headers went out on an established connection that took them. */
export interface SentExchange {
  readonly sent: true;
  /** 0 when there was no answer. */
  readonly code: number;
  /** The whole answer arrived. */
  readonly finished: boolean;
  /** Why it did not: `timeout` or the transport's error; undefined when it did. */
  readonly reason: string | undefined;
  /** Monotonic milliseconds: just before the headers, and at the answer's last byte or the end of patience. */
  readonly startMilliseconds: number;
  readonly endMilliseconds: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly etag: string | undefined;
}

/** What became of one try. */
export type Exchange = SentExchange | { readonly sent: false; readonly reason: string };

/** What of an exchange goes into the ledger. */
export function measured(exchange: SentExchange) {
  const { code, finished, startMilliseconds, endMilliseconds, requestBytes, responseBytes } = exchange;
  return { code, finished, startMilliseconds, endMilliseconds, requestBytes, responseBytes };
}

/** One HTTP client: keeps its connection (HTTP/2) or connections (HTTP/1.1) until closed. */
export interface Transport {
  /** Sends one request; never rejects. Gives up after the time-out, connecting included. */
  exchange(request: OutgoingRequest, timeoutMilliseconds: number): Promise<Exchange>;
  /** Ends all connections; a later exchange opens a new one. */
  close(): Promise<void>;
}

/** Application protocol that a client insists on. */
export type Protocol = "h2" | "http/1.1";

/** How a connection is opened. */
export interface ConnectOptions {
  readonly target: Target;
  /** The caller's own address; IPv4 and IPv6 each go to the target's address of that kind. */
  readonly localAddress: string;
  readonly protocol: Protocol;
  readonly timeoutMilliseconds: number;
  /** Bytes to send before TLS begins. Default: none. */
  readonly preamble?: Buffer;
}

/** A connection that could not be made; `reason` has no more than an error code. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  constructor(readonly reason: string) {
    super(`connection failed: ${reason}`);
  }
}

/**
 * Opens a TCP connection from the caller's address and TLS on it; the certificate is verified.
 * @throws {ConnectError}
 */
export async function openConnection(options: ConnectOptions): Promise<TLSSocket> {
  const { target, localAddress, protocol } = options;
  const host = isIPv6(localAddress) ? target.ipv6 : target.ipv4;
  if (host === undefined) throw new ConnectError("the target has no IPv6 address");
  const tcp = connectTcp({ host, port: target.port, localAddress });
  tcp.setNoDelay(true);
  const signal = AbortSignal.timeout(options.timeoutMilliseconds);
  try {
    await established(tcp, "connect", signal);
    if (options.preamble !== undefined) tcp.write(options.preamble);
    const tls = connectTls({
      socket: tcp,
      servername: target.serverName,
      ca: target.ca,
      ALPNProtocols: [protocol],
    });
    await established(tls, "secureConnect", signal);
    // A server without ALPN speaks HTTP/1.1.
    if ((tls.alpnProtocol || "http/1.1") !== protocol) {
      tls.destroy();
      throw new ConnectError(`the server does not offer ${protocol}`);
    }
    return tls;
  } catch (error) {
    tcp.destroy();
    throw new ConnectError(errorReason(error));
  }
}

/** An error's code where it has one: messages of the transport may quote what was sent. */
export function errorReason(error: unknown): string {
  if (error instanceof ConnectError) return error.reason;
  // By shape, not by class: Node's own errors are of another realm inside Jest.
  if (typeof error !== "object" || error === null) return "unknown error";
  if ("code" in error && typeof error.code === "string") return error.code;
  return "name" in error && typeof error.name === "string" ? error.name : "unknown error";
}

function established(socket: Socket, event: "connect" | "secureConnect", signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      socket.off(event, succeed);
      socket.off("close", ended);
      socket.off("error", fail);
      signal.removeEventListener("abort", late);
      // From here on an error shows as the connection's close; without a listener it would end the process.
      socket.on("error", () => undefined);
      if (error === undefined) resolve();
      else reject(error);
    };
    const succeed = () => settle();
    const fail = (error: Error) => settle(new ConnectError(errorReason(error)));
    const ended = () => settle(new ConnectError("closed by the server"));
    const late = () => settle(new ConnectError("connect timeout"));
    socket.once(event, succeed);
    socket.once("close", ended);
    socket.once("error", fail);
    signal.addEventListener("abort", late);
  });
}
