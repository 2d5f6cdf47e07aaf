import { gunzip } from "node:zlib";
import { limits } from "./limits";

/** A message to decompress. */
export interface CompressedMessage {
  readonly bytes: Buffer;
  /** More than that is an error of code `ERR_BUFFER_TOO_LARGE`. */
  readonly maxOutputLength: number;
  /** Asked when it is the message's turn; if nobody waits for it any more, it is dropped without a word. */
  readonly wanted: () => boolean;
  readonly done: (error: Error | null, plain: Buffer) => void;
}

const waiting: CompressedMessage[] = [];
let running = 0;

/**
 * Decompresses a message, not on the event loop's time. Since it may grow to a thousand times its size, only a few are at it
 * at one time; the others wait as small as they came.
 */
export function decompress(message: CompressedMessage): void {
  waiting.push(message);
  startNext();
}

function startNext(): void {
  while (running < limits.decompressions) {
    const message = waiting.shift();
    if (message === undefined) return;
    if (message.wanted()) start(message);
  }
}

function start({ bytes, maxOutputLength, done }: CompressedMessage): void {
  running += 1;
  gunzip(bytes, { maxOutputLength }, (error, plain) => {
    running -= 1;
    startNext();
    done(error, plain);
  });
}
