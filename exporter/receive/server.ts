import type { Http2Server, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import { constants, createSecureServer, createServer } from "node:http2";
import { Writer } from "protobufjs/minimal";
import { toError } from "../error";
import { ListenError } from "../listen";
import type { ListenAddress } from "../options";
import type { Batch } from "./batch";
import { UnaryCall } from "./call";
import type { BatchFault } from "./decode";
import { BatchError, decodeBatch } from "./decode";
import { answer, fail, GrpcError, grpcStatus, refuseContentType } from "./grpc";
import { RecentBatches } from "./recentBatches";

/** Path of the one call: https://github.com/open-telemetry/opentelemetry-proto (collector/logs/v1). */
export const exportPath = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/** Who gets what arrives. */
export interface BatchHandler {
  /** False while records cannot be attributed; the sender is then told to try again later. */
  ready(): boolean;
  /** A whole batch, good until the function returns. */
  take(batch: Batch): void;
  /** A batch that was taken before came again; it is answered like the first time and not counted. */
  duplicate(): void;
  /** A batch was not taken. */
  reject(reason: BatchFault | "incomplete" | "no_inventory"): void;
}

/** TLS of the port. */
export interface ReceiverTls {
  /** PEM. */
  readonly certificate: Buffer;
  /** PEM. */
  readonly key: Buffer;
  /** PEM of the authority whose certificates senders must show; undefined asks for none. */
  readonly clientAuthority?: Buffer;
}

/** Settings of an `OtlpReceiver`. */
export interface OtlpReceiverSettings {
  readonly listen: ListenAddress;
  /** Largest message in bytes, after decompression too. */
  readonly maxMessageBytes: number;
  readonly handler: BatchHandler;
  /** Default: plain HTTP/2. */
  readonly tls?: ReceiverTls;
}

/** Calls at one time on one connection. Envoy has one or two under way for each worker. */
const maxConcurrentStreams = 128;
/** A gateway has one connection per worker. */
const maxConnections = 1_024;
/** Bytes that may be under way without an answer: larger windows, fewer window updates to send. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 4 * 1024 * 1024;
/** Mebibytes that the HTTP/2 layer may hold for one connection. */
const sessionMemoryMebibytes = 64;
/** Bytes of messages that have begun and not ended, over all connections; whoever comes then has to come again. */
const maxHeldBytes = 64 * 1024 * 1024;
/** Finds connections whose other end is gone without a word. */
const keepaliveMilliseconds = 60_000;
const keepaliveTimeoutMilliseconds = 20_000;
/** How long a call may take to send its message. */
const callTimeoutMilliseconds = 30_000;
/** How long a drain waits until every sender has heard of it. */
const goodbyeMilliseconds = 1_000;
/** A GOAWAY with it says "no new calls, please" without refusing those on the way (RFC 9113, 6.8). */
const lastStreamOfAll = 2 ** 31 - 1;

/**
 * Takes OTLP logs over gRPC, with or without gzip: one unary call on Node's own HTTP/2 server.
 * `docs/decisions/own-grpc-server.md` says why there is no gRPC library here.
 */
export class OtlpReceiver {
  private readonly sessions = new Set<ServerHttp2Session>();
  private readonly calls = new Map<UnaryCall, number>();
  private readonly held = { now: 0, limit: maxHeldBytes };
  private readonly recent = new RecentBatches();
  private readonly sweep: NodeJS.Timeout;
  private draining = false;

  private constructor(
    private readonly server: Http2Server,
    private readonly settings: OtlpReceiverSettings,
  ) {
    server.on("session", (session) => this.watchSession(session));
    server.on("stream", (stream, headers) => this.serve(stream, headers));
    // Bytes that are no HTTP/2 end the connection, and nobody needs to hear of it.
    server.on("sessionError", () => undefined);
    server.maxConnections = maxConnections;
    this.sweep = setInterval(() => this.endSlowCalls(), callTimeoutMilliseconds / 10).unref();
  }

  /** @throws ListenError when the port cannot be had. */
  static async start(settings: OtlpReceiverSettings): Promise<OtlpReceiver> {
    const receiver = new OtlpReceiver(createHttp2Server(settings.tls), settings);
    await receiver.bind(settings.listen);
    return receiver;
  }

  /** The port in use. */
  get port(): number {
    const address = this.server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /**
   * Takes no new connection or call (HTTP/2 GOAWAY tells every sender), and finishes what has begun.
   * @returns when the last call is over.
   */
  async drain(): Promise<void> {
    this.draining = true;
    // First the word, then the end: calls that were sent before it arrived are still served.
    await Promise.all([...this.sessions].map(sayGoodbye));
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      for (const session of this.sessions) session.close();
    });
    clearInterval(this.sweep);
  }

  /** Ends everything at once. */
  close(): void {
    this.draining = true;
    clearInterval(this.sweep);
    this.server.close();
    for (const session of this.sessions) session.destroy();
  }

  private bind(listen: ListenAddress): Promise<void> {
    return new Promise((resolve, reject) => {
      const refuse = (error: Error) => {
        clearInterval(this.sweep);
        reject(new ListenError("OTLP", listen, error.message));
      };
      this.server.once("error", refuse);
      this.server.listen({ host: listen.host, port: listen.port }, () => {
        this.server.off("error", refuse);
        // Accepting can fail later on (too many open files); the connections that stand go on.
        this.server.on("error", () => undefined);
        resolve();
      });
    });
  }

  private watchSession(session: ServerHttp2Session): void {
    this.sessions.add(session);
    session.on("error", () => undefined);
    session.setLocalWindowSize(connectionWindowBytes);
    const keepalive = setInterval(() => {
      const timeout = setTimeout(() => session.destroy(), keepaliveTimeoutMilliseconds).unref();
      const alive = () => clearTimeout(timeout);
      if (session.destroyed || !session.ping(alive)) alive();
    }, keepaliveMilliseconds).unref();
    session.once("close", () => {
      clearInterval(keepalive);
      this.sessions.delete(session);
    });
    if (this.draining) session.close();
  }

  private serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    // A stream that its sender resets is no failure of ours.
    stream.on("error", () => undefined);
    if (!(headers["content-type"] ?? "").startsWith("application/grpc")) {
      refuseContentType(stream);
      return;
    }
    if (headers[":path"] !== exportPath || headers[":method"] !== "POST") {
      fail(stream, new GrpcError(grpcStatus.unimplemented, "the only call here is OTLP logs' Export"));
      return;
    }
    const { handler, maxMessageBytes } = this.settings;
    const call = new UnaryCall(stream, headers, {
      maxMessageBytes,
      held: this.held,
      received: (message) => this.takeBatch(message, stream),
      failed: (error) => {
        handler.reject("incomplete");
        fail(stream, error);
      },
    });
    this.calls.set(call, performance.now());
    stream.once("close", () => {
      this.calls.delete(call);
      if (!call.isOver) call.fail(new GrpcError(grpcStatus.unavailable, "the call ended early"));
    });
  }

  private takeBatch(message: Uint8Array, stream: ServerHttp2Stream): void {
    const { handler } = this.settings;
    try {
      if (!handler.ready()) {
        handler.reject("no_inventory");
        throw new GrpcError(grpcStatus.unavailable, "the inventory is not loaded yet; try again");
      }
      const batch = decodeBatch(message);
      if (this.recent.has(batch)) handler.duplicate();
      else {
        handler.take(batch);
        this.recent.add(batch);
      }
      answer(stream, createResponse(batch.foreign));
    } catch (error) {
      if (error instanceof BatchError) handler.reject(error.fault);
      fail(stream, toGrpcError(error));
    }
  }

  private endSlowCalls(): void {
    const oldest = performance.now() - callTimeoutMilliseconds;
    for (const [call, begun] of this.calls) {
      if (begun < oldest) call.fail(new GrpcError(grpcStatus.unavailable, "the message took too long"));
    }
  }
}

function createHttp2Server(tls: ReceiverTls | undefined): Http2Server {
  const options = {
    maxSessionMemory: sessionMemoryMebibytes,
    settings: {
      maxConcurrentStreams,
      initialWindowSize: streamWindowBytes,
      maxHeaderListSize: 16 * 1024,
      enablePush: false,
    },
  };
  if (tls === undefined) return createServer(options);
  return createSecureServer({
    ...options,
    cert: tls.certificate,
    key: tls.key,
    allowHTTP1: false,
    ...(tls.clientAuthority === undefined
      ? {}
      : { ca: tls.clientAuthority, requestCert: true, rejectUnauthorized: true }),
  });
}

/** Tells the other end to begin no new call, and waits until it has heard. */
function sayGoodbye(session: ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    const giveUp = setTimeout(resolve, goodbyeMilliseconds);
    const heard = () => {
      clearTimeout(giveUp);
      resolve();
    };
    session.once("close", heard);
    if (session.destroyed || session.closed) return heard();
    session.goaway(constants.NGHTTP2_NO_ERROR, lastStreamOfAll);
    if (!session.ping(heard)) heard();
  });
}

function toGrpcError(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  if (error instanceof BatchError) return new GrpcError(grpcStatus.invalidArgument, error.message);
  // Its name and no more: a message may quote what came.
  return new GrpcError(grpcStatus.internal, toError(error).name);
}

/** `ExportLogsServiceResponse`; empty unless records were rejected, as OTLP asks. */
export function createResponse(rejected: number): Uint8Array {
  if (rejected === 0) return nothingRejected;
  const writer = Writer.create();
  const partialSuccess = writer.uint32((1 << 3) | 2).fork();
  partialSuccess.uint32(1 << 3).uint32(rejected);
  partialSuccess.uint32((2 << 3) | 2).string("records without attributes of an access record");
  partialSuccess.ldelim();
  return writer.finish();
}

const nothingRejected = new Uint8Array();
