import type { HeldBytes, UnaryCall } from "./call";
import { GrpcError, grpcStatus } from "./grpc";
import { limits } from "./limits";

/** A call, as far as its upkeep is concerned. */
export type Call = Pick<UnaryCall, "isOver" | "heldBytes" | "fail">;

/** Its stream; when the call is over it stays until the sender has taken the answer. */
export interface CallStream {
  destroy(): unknown;
}

/** Decides which calls have to go: the oldest ones, which are never those of a sender at work. */
export class Calls {
  /** Bytes of messages under way. */
  readonly held: HeldBytes = { now: 0, limit: limits.heldBytes, exceeded: () => this.endOldestHolder() };
  /** In the order in which they began. */
  private readonly open = new Map<Call, { readonly stream: CallStream; readonly begun: number }>();

  /** A call began. If there are too many, the oldest is reset: an answer would only add to what is not taken. */
  add(call: Call, stream: CallStream, now: number): void {
    const [oldest] = this.open;
    if (this.open.size >= limits.calls && oldest !== undefined) {
      this.open.delete(oldest[0]);
      oldest[1].stream.destroy();
    }
    this.open.set(call, { stream, begun: now });
  }

  /** A call's stream is closed. */
  remove(call: Call): void {
    this.open.delete(call);
  }

  /** Ends the calls that have had their time, and then those that do not take the answer. */
  endSlow(now: number): void {
    for (const [call, { stream, begun }] of this.open) {
      if (now - begun < limits.callMilliseconds) return;
      if (call.isOver) stream.destroy();
      else call.fail(new GrpcError(grpcStatus.unavailable, "the message took too long"));
    }
  }

  private endOldestHolder(): void {
    for (const call of this.open.keys()) {
      if (call.isOver || call.heldBytes === 0) continue;
      call.fail(new GrpcError(grpcStatus.unavailable, "too much is under way; try again"));
      return;
    }
  }
}
