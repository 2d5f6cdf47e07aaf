import { createHash } from "node:crypto";
import { readFile, rename, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "../error";
import { maxInventoryLength } from "./document";

/** An inventory as the management plane gave it. */
export interface FetchedInventory {
  readonly text: string;
  readonly etag: string | undefined;
}

const fileName = "inventory-http";
/** Of the line before the inventory's text. */
const longestHeader = 1_024;

/**
 * The management plane's last good inventory in a file, for the time after a restart. Its first line is about the rest:
 * of which URL it is (as a hash, since URLs can hold secrets), its ETag and checksum. The file's time is when the
 * plane last confirmed it.
 */
export class KeptInventory {
  private readonly path: string;
  private readonly urlHash: string;

  /** @param directory stands already; another file of ours is never in it. */
  constructor(directory: string, url: URL) {
    this.path = join(directory, fileName);
    this.urlHash = hash(url.href);
  }

  /**
   * @returns undefined when nothing is kept.
   * @throws Error when what is kept cannot be used.
   */
  async load(): Promise<(FetchedInventory & { readonly confirmedSeconds: number }) | undefined> {
    try {
      const { size, mtimeMs } = await stat(this.path);
      if (size > maxInventoryLength * 3 + longestHeader) throw new Error("it is too large");
      const { text, etag } = this.unpack(await readFile(this.path, "utf8"));
      return { text, etag, confirmedSeconds: Math.min(mtimeMs, Date.now()) / 1_000 };
    } catch (error) {
      if (errorCode(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Replaces what is kept, as a whole or not at all. */
  async save({ text, etag }: FetchedInventory): Promise<void> {
    const header = JSON.stringify({ url: this.urlHash, etag: etag ?? "", checksum: hash(text) });
    await writeFile(`${this.path}.new`, `${header}\n${text}`, { mode: 0o600 });
    await rename(`${this.path}.new`, this.path);
  }

  /** What is kept is what the plane has now. */
  async confirm(): Promise<void> {
    const now = new Date();
    await utimes(this.path, now, now);
  }

  private unpack(content: string): FetchedInventory {
    const end = content.indexOf("\n");
    const header: unknown = end < 0 || end > longestHeader ? undefined : parseHeader(content.slice(0, end));
    const field = (name: string): unknown =>
      typeof header === "object" && header !== null ? Reflect.get(header, name) : undefined;
    const text = content.slice(end + 1);
    if (field("checksum") !== hash(text)) throw new Error("it is damaged");
    if (field("url") !== this.urlHash) throw new Error("it is of another URL");
    const etag = field("etag");
    return { text, etag: typeof etag === "string" && etag !== "" ? etag : undefined };
  }
}

function parseHeader(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
