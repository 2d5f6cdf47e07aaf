import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { setImmediate } from "node:timers/promises";
import { constants, createGzip } from "node:zlib";
import { expositionContentType } from "../measure/exposition";

/** Bytes of compressed output that are handed over at once. */
const compressedChunkBytes = 64 * 1024;

/**
 * Answers a scrape piece by piece, compressed when the scraper takes gzip. Between two pieces everything
 * else gets its turn, so a scrape of a large fleet never holds up what comes in.
 * @param pieces each has been sent or compressed when the next one is asked for, so that it may use the same memory.
 */
export async function writeMetrics(
  request: IncomingMessage,
  response: ServerResponse,
  pieces: AsyncIterable<string | Uint8Array>,
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
  const sent = finished(response);
  if (!compress) {
    await Promise.race([writeAll(response, pieces, handOverCopy), sent]);
    await sent;
    return;
  }
  // The fastest level: label names repeat so much that the slower ones gain little.
  const gzip = createGzip({ level: constants.Z_BEST_SPEED, chunkSize: compressedChunkBytes });
  try {
    gzip.pipe(response);
    await Promise.race([writeAll(gzip, pieces, handOver), sent]);
    await sent;
  } finally {
    gzip.destroy();
  }
}

/**
 * Hands over a copy of each piece, up to the answer's high-water mark, so that neither side waits for the other piece by
 * piece: without compression a large fleet has 1,600 of them.
 */
async function handOverCopy(response: ServerResponse, piece: string | Uint8Array): Promise<void> {
  if (!response.write(Buffer.from(piece))) await once(response, "drain");
}

/** The callback comes when the stream is done with the piece; a slow scraper makes it come late. */
function handOver(stream: Writable, piece: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(piece, (error) => (error ? reject(error) : resolve()));
  });
}

async function writeAll<S extends Writable>(
  stream: S,
  pieces: AsyncIterable<string | Uint8Array>,
  write: (stream: S, piece: string | Uint8Array) => Promise<void>,
): Promise<void> {
  await takeTurn();
  for await (const piece of pieces) {
    await write(stream, piece);
    if (stream.destroyed) return;
    await takeTurn();
  }
  stream.end();
}

let lastTurn: Promise<void> = Promise.resolve();

/**
 * Waits until a piece may be made: of all answers under way together, one in each turn of the event loop. Otherwise a hundred
 * scrapers at one time would hold up what comes in for a hundred pieces.
 */
function takeTurn(): Promise<void> {
  lastTurn = lastTurn.then(() => setImmediate());
  return lastTurn;
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
