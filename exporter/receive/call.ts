import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { errorCode } from "../error";
import { decompress } from "./decompression";
import { GrpcError, grpcStatus, prefixLength } from "./grpc";

/** Bytes held for all calls together, whose messages have begun and not ended. */
export interface HeldBytes {
  now: number;
  readonly limit: number;
  /** Called whenever there are more than `limit`; makes room. */
  readonly exceeded: () => void;
}

/** Settings of a `UnaryCall`. */
export interface UnaryCallSettings {
  readonly maxMessageBytes: number;
  readonly held: HeldBytes;
  /** The call's message is there in full; good until the function returns. */
  readonly received: (message: Uint8Array) => void;
  /** The call cannot be served; it may not have ended yet. */
  readonly failed: (error: GrpcError) => void;
}

/** Gathers the one message of a call, which comes in pieces and perhaps compressed. */
export class UnaryCall {
  private readonly pieces: Buffer[] = [];
  private length = 0;
  private over = false;
  private readonly compression: string;

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    private readonly settings: UnaryCallSettings,
  ) {
    const encoding = headers["grpc-encoding"];
    this.compression = typeof encoding === "string" ? encoding : "identity";
    stream.on("data", (piece: Buffer) => this.take(piece));
    stream.on("end", () => this.finish());
  }

  /** Whether the message was handed over, or the call failed. */
  get isOver(): boolean {
    return this.over;
  }

  /** Bytes held for it. */
  get heldBytes(): number {
    return this.length;
  }

  /** Ends the wait for more: the pieces that still come are dropped. */
  fail(error: GrpcError): void {
    if (this.over) return;
    this.end();
    this.settings.failed(error);
  }

  private take(piece: Buffer): void {
    if (this.over) return;
    const { held, maxMessageBytes } = this.settings;
    this.pieces.push(piece);
    this.length += piece.length;
    held.now += piece.length;
    // What comes is counted, whatever length the sender announced.
    if (this.length > maxMessageBytes + prefixLength) this.fail(this.tooLarge());
    else if (held.now > held.limit) held.exceeded();
  }

  private finish(): void {
    if (this.over) return;
    const [first = Buffer.alloc(0)] = this.pieces;
    const whole = this.pieces.length === 1 ? first : assemble(this.pieces, this.length);
    if (whole.length < prefixLength || whole.readUInt32BE(1) !== whole.length - prefixLength) {
      this.fail(new GrpcError(grpcStatus.internal, "the call must have one whole message"));
      return;
    }
    const message = whole.subarray(prefixLength);
    if (whole[0] === 0) this.handOver(message);
    else if (whole[0] === 1 && this.compression === "gzip") this.decompress(Buffer.from(message));
    else this.fail(new GrpcError(grpcStatus.unimplemented, "messages may be plain or compressed with gzip"));
  }

  private decompress(bytes: Buffer): void {
    decompress({
      bytes,
      maxOutputLength: this.settings.maxMessageBytes,
      wanted: () => !this.over,
      done: (error, plain) => {
        if (error === null) this.handOver(plain);
        else if (errorCode(error) === "ERR_BUFFER_TOO_LARGE") this.fail(this.tooLarge());
        else this.fail(new GrpcError(grpcStatus.internal, "the message is not gzip"));
      },
    });
  }

  private handOver(message: Uint8Array): void {
    if (this.over) return;
    this.end();
    this.settings.received(message);
  }

  private end(): void {
    this.over = true;
    this.settings.held.now -= this.length;
    this.pieces.length = 0;
    this.length = 0;
  }

  private tooLarge(): GrpcError {
    const { maxMessageBytes } = this.settings;
    return new GrpcError(
      grpcStatus.resourceExhausted,
      `the message must have at most ${maxMessageBytes} bytes`,
    );
  }
}

/** Where messages of several pieces are put together; used again and again, which spares the garbage collector. */
let assembly = Buffer.alloc(0);

function assemble(pieces: readonly Buffer[], length: number): Buffer {
  if (assembly.length < length) assembly = Buffer.allocUnsafeSlow(length * 2);
  let position = 0;
  for (const piece of pieces) position += piece.copy(assembly, position);
  return assembly.subarray(0, length);
}
