import type {
  Http2SecureServer,
  Http2Server,
  Http2Session,
  IncomingHttpHeaders,
  ServerHttp2Session,
  ServerHttp2Stream,
} from "node:http2";
import { constants, createServer } from "node:http2";
import { Writer } from "protobufjs/minimal";
import { toError } from "../error";
import { ListenError } from "../listen";
import type { ListenAddress } from "../options";
import type { Batch } from "./batch";
import { UnaryCall } from "./call";
import { Calls } from "./calls";
import type { Certificates } from "./certificates";
import type { BatchFault } from "./decode";
import { BatchError, decodeBatch } from "./decode";
import { Connections } from "../connections";
import { answer, fail, GrpcError, grpcStatus, refuseContentType } from "./grpc";
import { limits } from "./limits";
import { RecentBatches } from "./recentBatches";
import { createTlsServer, renewCertificates, type TlsSettings } from "./tls";

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

/** Settings of an `OtlpReceiver`. */
export interface OtlpReceiverSettings {
  readonly listen: ListenAddress;
  /** Largest message in bytes, after decompression too. */
  readonly maxMessageBytes: number;
  readonly handler: BatchHandler;
  /** Mutual TLS. Default: plain HTTP/2, for whoever the network lets through. */
  readonly tls?: TlsSettings | undefined;
}

/** Bytes that may be under way without an answer: larger windows, fewer window updates to send. */
const streamWindowBytes = 1024 * 1024;
const connectionWindowBytes = 4 * 1024 * 1024;
/** How often slow calls and idle connections are looked for. */
const sweepMilliseconds = 1_000;
/** How long a drain waits until every sender has heard of it. */
const goodbyeMilliseconds = 1_000;
/** A GOAWAY with it says "no new calls, please" without refusing those on the way (RFC 9113, 6.8). */
const lastStreamOfAll = 2 ** 31 - 1;

/**
 * Takes OTLP logs over gRPC, with or without gzip: one unary call on Node's own HTTP/2 server.
 * `docs/decisions/own-grpc-server.md` says why there is no gRPC library here.
 */
export class OtlpReceiver {
  private readonly connections = new Connections<Http2Session>(
    limits.connections,
    limits.firstMessageMilliseconds,
  );
  private readonly calls = new Calls();
  private readonly recent = new RecentBatches();
  private readonly sweep: NodeJS.Timeout;
  private draining = false;

  private constructor(
    private readonly server: Http2Server | Http2SecureServer,
    private readonly settings: OtlpReceiverSettings,
  ) {
    server.on("session", (session) => this.watchSession(session));
    server.on("stream", (stream, headers) => this.serve(stream, headers));
    // Bytes that are no HTTP/2 end the connection, and nobody needs to hear of it.
    server.on("sessionError", () => undefined);
    this.sweep = setInterval(() => this.sweepAway(), sweepMilliseconds).unref();
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

  /** Puts other certificates in force, for connections that come from now on. */
  renewCertificates(certificates: Certificates): void {
    if ("setSecureContext" in this.server) renewCertificates(this.server, certificates);
  }

  /**
   * Takes no new connection or call (HTTP/2 GOAWAY tells every sender), and finishes what has begun.
   * @returns when the last call is over.
   */
  async drain(): Promise<void> {
    this.draining = true;
    // First the word, then the end: calls that were sent before it arrived are still served.
    await Promise.all([...this.connections.all].map(sayGoodbye));
    await new Promise<void>((resolve) => {
      this.server.close(() => resolve());
      for (const session of this.connections.all) session.close();
    });
    clearInterval(this.sweep);
  }

  /** Ends everything at once. */
  close(): void {
    this.draining = true;
    clearInterval(this.sweep);
    this.server.close();
    for (const session of [...this.connections.all]) session.destroy();
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
    // TLS has turned it away already.
    if (session.destroyed) return;
    this.connections.add(session, performance.now());
    session.on("error", () => undefined);
    session.setLocalWindowSize(connectionWindowBytes);
    const keepalive = setInterval(() => {
      const timeout = setTimeout(() => session.destroy(), limits.keepaliveAnswerMilliseconds).unref();
      const alive = () => clearTimeout(timeout);
      if (session.destroyed || !session.ping(alive)) alive();
    }, limits.keepaliveMilliseconds).unref();
    session.once("close", () => {
      clearInterval(keepalive);
      this.connections.remove(session);
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
      held: this.calls.held,
      received: (message) => {
        if (stream.session !== undefined) this.connections.noteMessage(stream.session, performance.now());
        this.takeBatch(message, stream);
      },
      failed: (error) => {
        handler.reject("incomplete");
        fail(stream, error);
      },
    });
    this.calls.add(call, stream, performance.now());
    stream.once("close", () => {
      this.calls.remove(call);
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

  private sweepAway(): void {
    const now = performance.now();
    this.calls.endSlow(now);
    this.connections.endIdle(now);
  }
}

function createHttp2Server(tls: TlsSettings | undefined): Http2Server | Http2SecureServer {
  const options = {
    maxSessionMemory: limits.sessionMemoryMebibytes,
    maxSettings: limits.settingsPerFrame,
    maxHeaderListPairs: limits.headers,
    maxSessionInvalidFrames: limits.invalidFrames,
    maxSessionRejectedStreams: limits.rejectedStreams,
    streamResetBurst: limits.resets.burst,
    streamResetRate: limits.resets.perSecond,
    unknownProtocolTimeout: limits.unknownProtocolMilliseconds,
    settings: {
      maxConcurrentStreams: limits.concurrentStreams,
      initialWindowSize: streamWindowBytes,
      maxHeaderListSize: limits.headerBytes,
      enablePush: false,
    },
  };
  return tls === undefined ? createServer(options) : createTlsServer(options, tls);
}

/** Tells the other end to begin no new call, and waits until it has heard. */
function sayGoodbye(session: Http2Session): Promise<void> {
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
