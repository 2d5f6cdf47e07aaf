import { constants } from "node:crypto";
import type { X509Certificate } from "node:crypto";
import { createSecureServer } from "node:http2";
import type { Http2SecureServer, ServerOptions } from "node:http2";
import { TLSSocket } from "node:tls";
import type { SecureContextOptions } from "node:tls";
import { errorCode } from "../error";
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

/**
 * An HTTP/2 server that serves only clients with a right certificate.
 * @param options of HTTP/2.
 */
export function createTlsServer(options: ServerOptions, settings: TlsSettings): Http2SecureServer {
  const { certificates, clientNames, refused } = settings;
  const server = createSecureServer({
    ...options,
    ...contextOptions(certificates),
    requestCert: true,
    rejectUnauthorized: true,
    handshakeTimeout: handshakeTimeoutMilliseconds,
    allowHTTP1: false,
  });
  server.on("tlsClientError", (error: Error, socket: TLSSocket) => refused(refusalOf(error, socket)));
  // The first to hear of a session, so nobody reads what a client sends that is turned away here.
  server.on("session", (session) => {
    const { socket } = session;
    const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
    if (isAllowed(certificate, clientNames)) return;
    refused("name");
    session.destroy();
  });
  return server;
}

/** Puts other certificates in force, for new connections; those that stand go on. */
export function renewCertificates(server: Http2SecureServer, certificates: Certificates): void {
  server.setSecureContext(contextOptions(certificates));
}

function contextOptions({ certificate, key, clientAuthority }: Certificates): SecureContextOptions {
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
