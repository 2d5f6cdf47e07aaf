/** Bytes that the writer may write beyond what is asked, since it copies four at a time. */
const slack = 8;
const newline = 0x0a;
const zero = 0x30;

/** Bytes in the form that `PieceWriter` copies from. */
export interface Snippet {
  readonly view: DataView;
  readonly length: number;
}

/** Text as UTF-8, ready to be written again and again. */
export function createSnippet(text: string): Snippet {
  const length = Buffer.byteLength(text);
  const bytes = Buffer.alloc(length + slack);
  bytes.write(text);
  return { view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), length };
}

/**
 * Lines of text as bytes, written into one buffer that is used again for every piece. Strings would do too, and cost
 * five times as much: a large fleet has a million lines.
 */
export class PieceWriter {
  private bytes: Buffer;
  private view: DataView;
  private position = 0;

  /** @param size bytes that a piece has about; it grows when more is written before it is taken. */
  constructor(size: number) {
    this.bytes = Buffer.allocUnsafeSlow(size);
    this.view = viewOf(this.bytes);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.position;
  }

  /** Writes a snippet. */
  write({ view, length }: Snippet): void {
    this.makeRoom(length);
    this.copy(view, 0, length);
  }

  /** Writes again what was written before at `start`. */
  repeat(start: number, length: number): void {
    this.makeRoom(length);
    this.copy(this.view, start, length);
  }

  /** Writes a number as the text format has it, and the end of the line. */
  endLine(value: number): void {
    this.makeRoom(32);
    if (Number.isInteger(value) && value >= 0 && value < 1e9) this.writeInteger(value);
    else this.position += this.bytes.write(String(value), this.position, "latin1");
    this.view.setUint8(this.position, newline);
    this.position += 1;
  }

  /** Writes text that is used once. */
  writeText(text: string): void {
    this.makeRoom(text.length * 3);
    this.position += this.bytes.write(text, this.position, "utf8");
  }

  /** What was written since the last piece; good until something is written again. */
  takePiece(): Uint8Array {
    const piece = this.bytes.subarray(0, this.position);
    this.position = 0;
    return piece;
  }

  private copy(from: DataView, start: number, length: number): void {
    const { view, position } = this;
    for (let done = 0; done < length; done += 4) {
      view.setInt32(position + done, from.getInt32(start + done, true), true);
    }
    this.position = position + length;
  }

  private writeInteger(value: number): void {
    const { view } = this;
    let digits = 1;
    for (let limit = 10; value >= limit; limit *= 10) digits += 1;
    this.position += digits;
    let rest = value;
    for (let at = this.position - 1; digits > 0; at -= 1, digits -= 1) {
      const shorter = (rest / 10) | 0;
      view.setUint8(at, zero + rest - shorter * 10);
      rest = shorter;
    }
  }

  private makeRoom(length: number): void {
    if (this.position + length + slack <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow((this.position + length + slack) * 2);
    this.bytes.copy(larger, 0, 0, this.position);
    this.bytes = larger;
    this.view = viewOf(larger);
  }
}

const viewOf = (bytes: Buffer) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
