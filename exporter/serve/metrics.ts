import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setImmediate } from "node:timers/promises";
import { constants, createGzip } from "node:zlib";
import { expositionContentType } from "../measure/exposition";

/**
 * Answers a scrape piece by piece, compressed when the scraper takes gzip. Between two pieces everything
 * else gets its turn, so a scrape of a large fleet never holds up what comes in.
 */
export async function writeMetrics(
  request: IncomingMessage,
  response: ServerResponse,
  pieces: AsyncIterable<string>,
): Promise<void> {
  response.setHeader("Content-Type", expositionContentType);
  response.setHeader("Cache-Control", "no-store");
  response.setHeader("Vary", "Accept-Encoding");
  const compress = acceptsGzip(request.headers["accept-encoding"] ?? "");
  if (compress) response.setHeader("Content-Encoding", "gzip");
  if (request.method === "HEAD") {
    response.end();
    return;
  }
  const source = Readable.from(takeTurns(pieces), { objectMode: true });
  // The fastest level: label names repeat so much that the slower ones gain little.
  if (compress) await pipeline(source, createGzip({ level: constants.Z_BEST_SPEED }), response);
  else await pipeline(source, response);
}

async function* takeTurns(pieces: AsyncIterable<string>): AsyncGenerator<Buffer, void, undefined> {
  for await (const piece of pieces) {
    yield Buffer.from(piece);
    await setImmediate();
  }
}

/** Whether gzip is among the encodings and not ruled out by `q=0` (RFC 9110, 12.5.3). */
export function acceptsGzip(acceptEncoding: string): boolean {
  return acceptEncoding
    .toLowerCase()
    .split(",")
    .map((entry) => entry.split(";").map((part) => part.trim()))
    .some(
      ([coding, ...parameters]) =>
        coding === "gzip" && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter)),
    );
}
