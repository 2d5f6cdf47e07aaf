import { createServer, type Http2Server } from "node:http2";

/** Bytes before a gRPC message: a flag and its length. */
export const framePrefix = 5;

/** Takes OTLP over gRPC as it comes and hands each message on as it was. */
export function createOtlpServer(take: (message: Buffer) => void): Http2Server {
  const server = createServer();
  server.on("stream", (stream) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => undefined);
    stream.on("end", () => {
      take(Buffer.concat(chunks).subarray(framePrefix));
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
      // An empty message is an answer that rejects nothing.
      stream.end(Buffer.alloc(framePrefix));
    });
  });
  return server;
}
