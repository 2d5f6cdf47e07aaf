import type { sendUnaryData, ServerInterceptor, ServerUnaryCall } from "@grpc/grpc-js";
import {
  logVerbosity,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  setLogVerbosity,
  status,
} from "@grpc/grpc-js";
import { Writer } from "protobufjs/minimal";
import { toError } from "../error";
import { formatAddressPort, ListenError } from "../listen";
import type { ListenAddress } from "../options";
import type { BatchFault } from "./decode";
import { BatchError, decodeBatch } from "./decode";
import type { Certificates } from "./certificates";
import type { AccessRecord } from "./record";
import type { TlsSettings } from "./tls";
import { TlsListener } from "./tls";

/** Path of the one call: https://github.com/open-telemetry/opentelemetry-proto (collector/logs/v1). */
export const exportPath = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/** Who gets what arrives. */
export interface BatchHandler {
  /** False while records cannot be attributed; the sender is then told to try again later. */
  ready(): boolean;
  /** A whole batch. @param foreign records that are none of ours. */
  take(records: readonly AccessRecord[], foreign: number): void;
  /** A batch was not taken. */
  reject(reason: BatchFault | "incomplete" | "no_inventory"): void;
}

/** Settings of an `OtlpReceiver`. */
export interface OtlpReceiverSettings {
  readonly listen: ListenAddress;
  /** Largest message in bytes, after decompression too. */
  readonly maxMessageBytes: number;
  readonly handler: BatchHandler;
  /** Mutual TLS. Default: plain text, for whoever the network lets through. */
  readonly tls?: TlsSettings | undefined;
}

/** Calls at one time on one connection. Envoy has one or two under way for each worker. */
const maxConcurrentStreams = 128;
const keepaliveTimeMilliseconds = 60_000;
const keepaliveTimeoutMilliseconds = 20_000;
/** Mebibytes that the HTTP/2 layer may hold for one connection. */
const sessionMemoryMebibytes = 64;

/** Takes OTLP logs over gRPC, with or without gzip. */
export class OtlpReceiver {
  private constructor(
    private readonly server: Server,
    /** The port in use. */
    readonly port: number,
    private readonly tlsListener?: TlsListener,
  ) {}

  /** @throws ListenError when the port cannot be had. */
  static async start(settings: OtlpReceiverSettings): Promise<OtlpReceiver> {
    const { listen, maxMessageBytes, handler, tls } = settings;
    // It writes free text to stderr; everything it says there reaches us as an error or an answer, too.
    setLogVerbosity(logVerbosity.NONE);
    const server = new Server({
      "grpc.max_receive_message_length": maxMessageBytes,
      "grpc.max_concurrent_streams": maxConcurrentStreams,
      // Finds connections whose other end is gone without a word.
      "grpc.keepalive_time_ms": keepaliveTimeMilliseconds,
      "grpc.keepalive_timeout_ms": keepaliveTimeoutMilliseconds,
      "grpc-node.max_session_memory": sessionMemoryMebibytes,
      // No registry of channels: nobody can ask for it here, and it costs memory for every connection.
      "grpc.enable_channelz": 0,
      interceptors: [createIncompleteWatch(handler)],
    });
    const asBytes = (bytes: Buffer) => bytes;
    const answer = (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
      takeBatch(call.request, handler, reply);
    server.register(exportPath, answer, asBytes, asBytes, "unary");
    if (tls === undefined) return new OtlpReceiver(server, await bind(server, listen));
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const listener = await TlsListener.start(listen, tls, (socket) => injector.injectConnection(socket));
    return new OtlpReceiver(server, listener.port, listener);
  }

  /** Puts other certificates in force, for connections that come from now on. */
  renewCertificates(certificates: Certificates): void {
    this.tlsListener?.renew(certificates);
  }

  /**
   * Takes no new connection or call (HTTP/2 GOAWAY tells every sender), and finishes what has begun.
   * @returns when the last call is over.
   */
  drain(): Promise<void> {
    this.tlsListener?.close();
    return new Promise((resolve) => this.server.tryShutdown(() => resolve()));
  }

  /** Ends everything at once. */
  close(): void {
    this.tlsListener?.close();
    this.server.forceShutdown();
  }
}

function bind(server: Server, listen: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(formatAddressPort(listen), ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(port);
      else reject(new ListenError("OTLP", listen, error.message));
    });
  });
}

function takeBatch(message: Buffer, handler: BatchHandler, reply: sendUnaryData<Buffer>): void {
  if (!handler.ready()) {
    handler.reject("no_inventory");
    reply({ code: status.UNAVAILABLE, details: "the inventory is not loaded yet; try again" });
    return;
  }
  try {
    const { records, foreign } = decodeBatch(message);
    handler.take(records, foreign);
    reply(null, createResponse(foreign));
  } catch (error) {
    if (error instanceof BatchError) {
      handler.reject(error.fault);
      reply({ code: status.INVALID_ARGUMENT, details: error.message });
    } else reply({ code: status.INTERNAL, details: toError(error).name });
  }
}

/** `ExportLogsServiceResponse`; empty unless records were rejected, as OTLP asks. */
export function createResponse(rejected: number): Buffer {
  const writer = Writer.create();
  if (rejected > 0) {
    const partialSuccess = writer.uint32((1 << 3) | 2).fork();
    partialSuccess.uint32(1 << 3).uint32(rejected);
    partialSuccess.uint32((2 << 3) | 2).string("records without attributes of an access record");
    partialSuccess.ldelim();
  }
  return Buffer.from(writer.finish());
}

/**
 * Notices calls that end before their message was there. grpc-js answers those itself (too large, not
 * decompressible), and no handler ever hears of them.
 */
function createIncompleteWatch(handler: BatchHandler): ServerInterceptor {
  return (_method, call) => {
    let complete = false;
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMessage: (message, pass) => {
            complete = true;
            pass(message);
          },
          onCancel: () => {
            if (!complete) handler.reject("incomplete");
          },
        }),
    });
  };
}
