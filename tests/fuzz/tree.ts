/** A protobuf field as it is going to be written, right or wrong. */
export interface Node {
  number: number;
  wireType: number;
  /** A message's fields, bytes, or a number; written as the wire type wants it, if it can be. */
  content: Node[] | Buffer | number;
  /** Added to the length that is written (not to what follows it). Default 0. */
  lengthError?: number;
  /** Bytes that tag, length and number are stretched by, with leading zeros that say nothing. Default 0. */
  stretch?: number;
}

/** A field with a message or bytes. */
export function field(number: number, content: Node[] | Buffer | string): Node {
  return { number, wireType: 2, content: typeof content === "string" ? Buffer.from(content) : content };
}

/** A field with a number, as varint unless told otherwise. */
export function scalar(number: number, content: number, wireType = 0): Node {
  return { number, wireType, content };
}

/** Most bytes that a tree is written to; a larger one is cut at its front. */
const space = Buffer.alloc(1 << 20);

/** The bytes of fields, in a buffer of their own. Written back to front, so that lengths are known when their turn comes. */
export function serialise(nodes: readonly Node[]): Buffer {
  return Buffer.from(space.subarray(writeAll(nodes, space.length)));
}

function writeAll(nodes: readonly Node[], end: number): number {
  let at = end;
  for (let index = nodes.length - 1; index >= 0 && at > 0; index -= 1) {
    const node = nodes[index];
    if (node !== undefined) at = write(node, at);
  }
  return at;
}

function write(node: Node, end: number): number {
  const { number, wireType, content, stretch = 0 } = node;
  // Wire type 4 ends a group and has no content; the tag stands on both sides of a group's.
  let at = wireType === 3 ? writeVarint(number * 8 + 4, end, 0) : end;
  if (typeof content === "number") {
    if (wireType === 1 || wireType === 5) at = writeFixed(content, at, wireType === 1 ? 8 : 4);
    else at = writeVarint(content, at, stretch);
  } else {
    const start = Buffer.isBuffer(content) ? writeBytes(content, at) : writeAll(content, at);
    const length = Math.max(0, at - start + (node.lengthError ?? 0));
    at = wireType === 2 ? writeVarint(length, start, stretch) : start;
  }
  return writeVarint(number * 8 + wireType, at, stretch);
}

function writeBytes(bytes: Buffer, end: number): number {
  const start = Math.max(0, end - bytes.length);
  bytes.copy(space, start, 0, end - start);
  return start;
}

/** Numbers below 0 in two's complement of 64 bits, as protobuf has it. */
function writeVarint(value: number, end: number, stretch: number): number {
  // Most are small, and there are many.
  if (stretch === 0 && value >= 0 && value < 2 ** 14 && end > 1) {
    if (value < 128) space[end - 1] = value;
    else space.writeUInt16BE(((value & 0x7f) | 0x80) * 256 + (value >> 7), end - 2);
    return end - (value < 128 ? 1 : 2);
  }
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, BigInt(Math.trunc(value))); ; rest >>= 7n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    if (rest < 0x80n) break;
  }
  for (let more = 0; more < stretch; more += 1) bytes.push(0x80);
  bytes.push((bytes.pop() ?? 0) & 0x7f);
  return writeBytes(Buffer.from(bytes), end);
}

function writeFixed(value: number, end: number, length: 4 | 8): number {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(Math.trunc(value))));
  return writeBytes(bytes.subarray(0, length), end);
}
