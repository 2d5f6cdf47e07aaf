import { connect } from "node:net";
import type { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { exportPath } from "../../exporter/receive/server";

/** Clients that mean harm, made of bare sockets and HTTP/2 frames (RFC 9113): no library sends such things. */

/** What each connection of an attack does. */
export interface Attack {
  readonly connections: number;
  /** Sent when connected. */
  readonly opening?: Buffer;
  /** Sent again and again, every ten milliseconds; `turn` counts from 0 for each connection. */
  readonly repeated?: (turn: number) => Buffer;
  /** Whether it reads what comes back. Default: yes. */
  readonly reads?: boolean;
  /** Whether the exporter must end connections. Default: it may. */
  readonly endsConnections?: boolean;
  /** How many calls of each connection must count as incomplete. Default: 0, since there are no calls, or whole ones. */
  readonly incomplete?: number | "some";
}

const turnMilliseconds = 10;
/** How long after its end a connection is replaced. */
const pauseMilliseconds = 1_000;
/** What a connection may have unsent before it waits, as it would fill the test's own memory. */
const mostUnsentBytes = 1024 * 1024;

/** An attack that goes on. */
export class Attackers {
  /** Connections that began, first ones and replacements. */
  begun = 0;
  /** Connections that the other end gave up. */
  ended = 0;
  private readonly sockets = new Map<Socket, number>();
  private readonly timer: NodeJS.Timeout;
  private stopped = false;

  constructor(
    private readonly port: number,
    private readonly attack: Attack,
  ) {
    for (let index = 0; index < attack.connections; index += 1) this.begin();
    this.timer = setInterval(() => this.takeTurn(), turnMilliseconds);
  }

  /** Takes all connections away. */
  stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    for (const socket of this.sockets.keys()) socket.destroy();
  }

  private begin(): void {
    if (this.stopped) return;
    const { opening, reads = true } = this.attack;
    const socket = connect(this.port, "127.0.0.1", () => {
      this.begun += 1;
      this.sockets.set(socket, 0);
      if (opening !== undefined) socket.write(opening);
    });
    if (reads) socket.resume();
    socket.on("error", () => undefined);
    socket.once("close", () => {
      this.sockets.delete(socket);
      if (this.stopped) return;
      this.ended += 1;
      setTimeout(() => this.begin(), pauseMilliseconds);
    });
  }

  private takeTurn(): void {
    const { repeated } = this.attack;
    if (repeated === undefined) return;
    for (const [socket, turn] of this.sockets) {
      if (socket.writableLength > mostUnsentBytes) continue;
      socket.write(repeated(turn));
      this.sockets.set(socket, turn + 1);
    }
  }
}

const frameTypes = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, continuation: 9 } as const;
const endStream = 0x1;
const endHeaders = 0x4;
/** The largest frame that a server takes unless it says otherwise. */
const largestFrame = 16 * 1024;

function frame(
  type: keyof typeof frameTypes,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(frameTypes[type], 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** The nth stream of a client, counted from 0. */
const streamId = (index: number) => index * 2 + 1;

/** A header as HPACK's plainest form has it: literal, never indexed, no Huffman code (RFC 7541, 6.2.3). */
function header(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0x10]), text(name), text(value)]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

const callHeaders = {
  ":method": "POST",
  ":scheme": "http",
  ":path": exportPath,
  ":authority": "vpsight",
  "content-type": "application/grpc",
  te: "trailers",
};

const headerBlock = (changed: Readonly<Record<string, string>> = {}) =>
  Buffer.concat(Object.entries({ ...callHeaders, ...changed }).map(([name, value]) => header(name, value)));

/** Begins a call and leaves it open. */
const begin = (index: number, changed?: Readonly<Record<string, string>>) =>
  frame("headers", endHeaders, streamId(index), headerBlock(changed));

/** A call's bytes, in frames of the largest size. */
function data(index: number, bytes: Buffer, last = false): Buffer {
  const frames: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += largestFrame) {
    const end = start + largestFrame;
    const flags = last && end >= bytes.length ? endStream : 0;
    frames.push(frame("data", flags, streamId(index), bytes.subarray(start, end)));
  }
  return Buffer.concat(frames);
}

const times = (count: number, create: (index: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, index) => create(index)));

const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const opening = Buffer.concat([preface, frame("settings", 0, 0)]);
const after = (...parts: readonly Buffer[]) => Buffer.concat([opening, ...parts]);

/** SETTINGS_INITIAL_WINDOW_SIZE 0: no byte of any answer may be sent. */
const noWindow = frame("settings", 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]));
const emptyMessage = Buffer.alloc(5);

/** 64 MiB of zeros, compressed, as a gRPC message: sixteen times the limit. */
function createBomb(): Buffer {
  const bytes = gzipSync(Buffer.alloc(64 * 1024 * 1024));
  const prefix = Buffer.from([1, 0, 0, 0, 0]);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

const bomb = createBomb();
/** As many as fit into a connection's window. */
const bombsPerConnection = 60;

/** Attacks on the OTLP port. */
export const otlpAttacks: Readonly<Record<string, Attack>> = {
  "more connections than the limit, that say nothing": { connections: 1_300, endsConnections: true },
  "a preface byte by byte": {
    connections: 50,
    repeated: (turn) => preface.subarray(turn % preface.length, (turn % preface.length) + 1),
  },
  "messages byte by byte": {
    connections: 50,
    opening: after(begin(0)),
    repeated: () => data(0, Buffer.alloc(1)),
    incomplete: 1,
  },
  "calls without end, beyond the limit": {
    connections: 34,
    opening: after(times(128, (index) => begin(index))),
    repeated: (turn) => begin(128 + turn),
    endsConnections: true,
    incomplete: "some",
  },
  "calls reset at once": {
    connections: 4,
    opening,
    repeated: (turn) =>
      times(50, (index) => {
        const cancel = frame("reset", 0, streamId(turn * 50 + index), Buffer.from([0, 0, 0, 8]));
        return Buffer.concat([begin(turn * 50 + index), cancel]);
      }),
    endsConnections: true,
    incomplete: "some",
  },
  "answers that nobody takes": {
    connections: 10,
    opening: after(
      noWindow,
      times(128, (index) => Buffer.concat([begin(index), data(index, emptyMessage, true)])),
    ),
    reads: false,
  },
  "bodies that nobody wants": {
    connections: 10,
    opening,
    repeated: (turn) =>
      Buffer.concat([begin(turn, { "content-type": "text/plain" }), data(turn, Buffer.alloc(60_000))]),
  },
  "messages of many megabytes": {
    connections: 10,
    opening: after(begin(0)),
    repeated: () => data(0, Buffer.alloc(64 * 1024)),
    incomplete: 1,
  },
  "messages that grow when they are decompressed": {
    connections: 3,
    opening: after(
      times(bombsPerConnection, (index) =>
        Buffer.concat([begin(index, { "grpc-encoding": "gzip" }), data(index, bomb, true)]),
      ),
    ),
    incomplete: bombsPerConnection,
  },
  // HTTP/2 gives up a connection with a thousand answers unsent, which takes megabytes in the kernel to come to.
  "pings whose answers nobody reads": {
    connections: 4,
    opening,
    repeated: () => times(200, () => frame("ping", 0, 0, Buffer.alloc(8))),
    reads: false,
  },
  "settings whose answers nobody reads": {
    connections: 4,
    opening,
    repeated: () => times(200, () => frame("settings", 0, 0)),
    reads: false,
  },
  "headers without end": {
    connections: 5,
    opening: after(frame("headers", 0, 1, headerBlock())),
    repeated: () =>
      frame(
        "continuation",
        0,
        1,
        times(100, () => header("x", "x".repeat(150))),
      ),
    endsConnections: true,
  },
  "headers over the limit": {
    connections: 5,
    opening,
    repeated: (turn) =>
      Buffer.concat([
        frame("headers", 0, streamId(turn), headerBlock()),
        ...Array.from({ length: 6 }, (_, index) =>
          frame(
            "continuation",
            index === 5 ? endHeaders : 0,
            streamId(turn),
            header("x", "x".repeat(16_000)),
          ),
        ),
      ]),
    incomplete: "some",
  },
};

const scrape = Buffer.from("GET /metrics HTTP/1.1\r\nHost: vpsight\r\nAccept-Encoding: gzip\r\n\r\n");
const plainScrape = Buffer.from("GET /metrics HTTP/1.1\r\nHost: vpsight\r\n\r\n");

/** Attacks on the metrics port. */
export const httpAttacks: Readonly<Record<string, Attack>> = {
  "more connections to the metrics than the limit, that say nothing": {
    connections: 160,
    endsConnections: true,
  },
  "requests for metrics byte by byte": {
    connections: 160,
    repeated: (turn) => plainScrape.subarray(turn % 20, (turn % 20) + 1),
  },
  "scrapers that never read": { connections: 100, opening: plainScrape, reads: false },
  "scrapers that never read and ask again and again": {
    connections: 100,
    opening: times(50, () => scrape),
    reads: false,
    endsConnections: true,
  },
};
