import { Client, credentials } from "@grpc/grpc-js";
import { Reader, Writer } from "protobufjs/minimal";
import type { ProbeResult } from "./probe";

const serving = 1;

/**
 * Asks a server for its health, without TLS, as the kubelet's gRPC probe does.
 * https://github.com/grpc/grpc/blob/master/doc/health-checking.md
 */
export function checkHealth(
  host: string,
  port: number,
  service: string,
  timeout: number,
): Promise<ProbeResult> {
  const client = new Client(`${host}:${port}`, credentials.createInsecure());
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      (name: string) => Buffer.from(Writer.create().uint32(10).string(name).finish()),
      readStatus,
      service,
      { deadline: Date.now() + timeout },
      (error, status) => {
        client.close();
        if (error) resolve({ healthy: false, message: error.message });
        else resolve({ healthy: status === serving, message: `health status ${status ?? "unknown"}` });
      },
    );
  });
}

function readStatus(message: Buffer): number {
  const reader = Reader.create(message);
  let status = 0;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) status = reader.int32();
    else reader.skipType(tag & 7);
  }
  return status;
}
