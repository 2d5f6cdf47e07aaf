import type { OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { constants } from "node:http2";

/**
 * What gRPC over HTTP/2 asks of a server of one unary call:
 * https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
 */

/** gRPC's status codes, as far as they are used: https://grpc.io/docs/guides/status-codes/ */
export const grpcStatus = {
  ok: 0,
  invalidArgument: 3,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const;

/** One of the status codes. */
export type GrpcStatus = (typeof grpcStatus)[keyof typeof grpcStatus];

/** A call that fails, with what its sender is told. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";

  constructor(
    readonly status: GrpcStatus,
    message: string,
  ) {
    super(message);
  }
}

/** Bytes before each message: whether it is compressed, and its length. */
export const prefixLength = 5;

const headers: OutgoingHttpHeaders = { ":status": 200, "content-type": "application/grpc" };
const trailers: OutgoingHttpHeaders = { "grpc-status": String(grpcStatus.ok) };
const withTrailers = { waitForTrailers: true, sendDate: false } as const;
const withoutBody = { endStream: true, sendDate: false } as const;

/** Answers a call with a message. */
export function answer(stream: ServerHttp2Stream, message: Uint8Array): void {
  if (isOver(stream)) return;
  stream.respond(headers, withTrailers);
  stream.once("wantTrailers", () => stream.sendTrailers(trailers));
  stream.end(frame(message));
}

/** Answers a call with a status other than OK. */
export function fail(stream: ServerHttp2Stream, { status, message }: GrpcError): void {
  if (isOver(stream)) return;
  stream.respond(
    {
      ...headers,
      "grpc-status": String(status),
      "grpc-message": encodeURIComponent(message),
      "grpc-accept-encoding": "identity,gzip",
    },
    withoutBody,
  );
  // What the sender still has to say is not waited for.
  stream.close(constants.NGHTTP2_NO_ERROR);
}

/** Answers what is no gRPC at all, as the protocol asks. */
export function refuseContentType(stream: ServerHttp2Stream): void {
  if (!isOver(stream)) stream.respond({ ":status": 415 }, withoutBody);
}

function isOver(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed || stream.headersSent;
}

const empty = Buffer.alloc(prefixLength);

function frame(message: Uint8Array): Buffer {
  if (message.length === 0) return empty;
  const prefix = Buffer.alloc(prefixLength);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
