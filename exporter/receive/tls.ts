import { constants } from "node:crypto";
import type { X509Certificate } from "node:crypto";
import { createServer } from "node:tls";
import type { Server, TLSSocket, TlsOptions } from "node:tls";
import { errorCode, toError } from "../error";
import { ListenError } from "../listen";
import type { ListenAddress } from "../options";
import type { Certificates } from "./certificates";

/** Why a connection was refused before anything of it was read, in the order of the exposition. */
export const tlsRefusals = [
  /** The client showed no certificate. */
  "no_certificate",
  /** Its certificate has expired, is not valid yet, or is of an authority that is not trusted. */
  "certificate",
  /** Its certificate is good and carries none of the names that are allowed. */
  "name",
  /** Anything else: no TLS at all, an old version, a connection given up. */
  "handshake",
] as const;

/** One of the reasons. */
export type TlsRefusal = (typeof tlsRefusals)[number];

/** How the receiver's TLS is done. */
export interface TlsSettings {
  readonly certificates: Certificates;
  /**
   * Names of which a client's certificate must carry one, as DNS name or URI (`spiffe://…`) among its alternative
   * names. Empty: any certificate of the authority will do.
   */
  readonly clientNames: readonly string[];
  /** Told of each connection that is refused. */
  readonly refused: (reason: TlsRefusal) => void;
}

const handshakeTimeoutMilliseconds = 10_000;
/** Connections at one time, those in their handshake included: those are anybody's. */
const maxConnections = 1_024;

/**
 * Listens, does the handshake, and hands on only connections whose client has shown a right certificate; HTTP/2
 * never hears of the others. New certificates are for new connections, those that stand go on.
 */
export class TlsListener {
  private constructor(
    private readonly server: Server,
    /** The port in use. */
    readonly port: number,
  ) {}

  /**
   * @param accept takes over a connection.
   * @throws ListenError when the port cannot be had.
   */
  static async start(
    listen: ListenAddress,
    settings: TlsSettings,
    accept: (socket: TLSSocket) => void,
  ): Promise<TlsListener> {
    const { clientNames, refused } = settings;
    const server = createServer({
      ...contextOptions(settings.certificates),
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: handshakeTimeoutMilliseconds,
      ALPNProtocols: ["h2"],
    });
    server.maxConnections = maxConnections;
    server.on("tlsClientError", (error, socket) => refused(refusalOf(error, socket)));
    server.on("secureConnection", (socket) => {
      // A connection that breaks is the client's matter; HTTP/2 hears of it by itself.
      socket.on("error", () => undefined);
      if (isAllowed(socket.getPeerX509Certificate(), clientNames)) accept(socket);
      else {
        refused("name");
        socket.destroy();
      }
    });
    return new TlsListener(server, await bind(server, listen));
  }

  /** Puts other certificates in force, for connections that come from now on. */
  renew(certificates: Certificates): void {
    this.server.setSecureContext(contextOptions(certificates));
  }

  /** Takes no new connection; those that were handed on are not touched. */
  close(): void {
    this.server.close();
  }
}

function contextOptions({ certificate, key, clientAuthority }: Certificates): TlsOptions {
  return {
    cert: certificate,
    key,
    ca: clientAuthority,
    minVersion: "TLSv1.2",
    // A resumed session would bring the certificate's check of an earlier day along. Connections live for hours.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

function refusalOf(error: Error, socket: TLSSocket): TlsRefusal {
  if (errorCode(error) === "ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE") return "no_certificate";
  // Set by the check of the client's certificate; its type keeps quiet about null, which it is before that.
  const problem: unknown = socket.authorizationError;
  return problem === null || problem === undefined ? "handshake" : "certificate";
}

function isAllowed(certificate: X509Certificate | undefined, names: readonly string[]): boolean {
  if (certificate === undefined) return false;
  return names.length === 0 || alternativeNames(certificate).some((name) => names.includes(name));
}

/**
 * The DNS names and URIs a certificate is for. Node gives all alternative names as one text, in which a name that holds
 * a comma or a quote is written as a JSON string: https://nodejs.org/api/crypto.html#x509subjectaltname
 */
export function alternativeNames({ subjectAltName = "" }: Pick<X509Certificate, "subjectAltName">): string[] {
  const entries = subjectAltName.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)/gy);
  return [...entries].flatMap(([, kind, text = ""]) => {
    if (kind !== "DNS" && kind !== "URI") return [];
    return text.startsWith('"') ? String(JSON.parse(text)) : text;
  });
}

function bind(server: Server, listen: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(new ListenError("OTLP", listen, toError(error).message)));
    server.listen({ host: listen.host, port: listen.port }, () => {
      const bound = server.address();
      if (bound !== null && typeof bound === "object") resolve(bound.port);
      else reject(new ListenError("OTLP", listen, "the system gave no port"));
    });
  });
}
