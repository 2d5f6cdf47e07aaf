import * as grpc from "@grpc/grpc-js";
import { EngineClient } from "@pulumi/pulumi/proto/engine_grpc_pb";
import { LogRequest, LogSeverity } from "@pulumi/pulumi/proto/engine_pb";

/** Says something about a resource to whoever runs the engine. */
export interface Progress {
  /** Shown beside the resource while it is worked on, then gone; `""` clears it. */
  status(urn: string, message: string): void;
  /** Stays among the diagnostics. The same text is said once only. */
  warn(urn: string, message: string): void;
}

/** Sends messages to the engine that started this plug-in. A message that does not arrive is no error. */
export class EngineProgress implements Progress {
  private client: EngineClient | undefined;
  private readonly said = new Set<string>();
  private readonly lastStatus = new Map<string, string>();

  /** @param address the engine's own, `host:port`. */
  connect(address: string): void {
    this.client?.close();
    this.client = new EngineClient(address, grpc.credentials.createInsecure());
  }

  status(urn: string, message: string): void {
    if ((this.lastStatus.get(urn) ?? "") === message) return;
    this.lastStatus.set(urn, message);
    this.send(LogSeverity.INFO, urn, message, true);
  }

  warn(urn: string, message: string): void {
    if (this.said.has(message)) return;
    this.said.add(message);
    this.send(LogSeverity.WARNING, urn, message, false);
  }

  private send(severity: LogSeverity, urn: string, message: string, ephemeral: boolean): void {
    const request = new LogRequest();
    request.setSeverity(severity);
    request.setUrn(urn);
    request.setMessage(message);
    request.setEphemeral(ephemeral);
    this.client?.log(request, () => undefined);
  }
}
