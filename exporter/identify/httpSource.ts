import { readFile } from "node:fs/promises";
import { errorCode, toError } from "../error";
import type { Log } from "../log";
import { maxInventoryLength } from "./document";
import { requestInventory } from "./httpRequest";
import type { FetchedInventory } from "./keptInventory";
import { KeptInventory } from "./keptInventory";
import type { InventoryReceiver, InventorySource } from "./source";

/** Where the management plane serves the inventory, and how to ask. */
export interface HttpSourceSettings {
  /** https, or http where that was allowed; never with user and password. Its query is in no log or error. */
  readonly url: URL;
  /** File with the bearer token, read for each request. Default: no token is sent. */
  readonly tokenFile?: string;
  /** File with the PEM of the authorities that are believed, read for each request. Default: those Node brings. */
  readonly caFile?: string;
  /** Pause between two requests, in seconds, a tenth more or less; shorter after a failure. Default 30. */
  readonly intervalSeconds?: number;
  /** Folder that survives a restart; the last good inventory is kept there. Default: nothing is kept. */
  readonly stateDirectory?: string;
  /** Default 10,000. */
  readonly timeoutMilliseconds?: number;
}

const defaultIntervalSeconds = 30;
const defaultTimeoutMilliseconds = 10_000;
const firstRetryMilliseconds = 1_000;
/** Shorter ones are no secret; and an inventory that holds the token is refused, which must not happen by chance. */
const tokenPattern = /^[\x21-\x7e]{8,4096}$/;

/**
 * The inventory of the management plane, asked for again and again. An unchanged one costs a 304.
 * The last good one is kept in a file, and holds after a restart until the plane answers again.
 */
export class HttpSource implements InventorySource {
  readonly name = "http";
  readonly place: string;
  private readonly kept: KeptInventory | undefined;
  private readonly ending = new AbortController();
  private receiver: InventoryReceiver | undefined;
  private timer: NodeJS.Timeout | undefined;
  /** The plane's last answer, right or wrong; the next question is whether it still holds. */
  private answer: FetchedInventory | undefined;
  /** What the state directory holds. */
  private saved: FetchedInventory | undefined;
  private failures = 0;
  private complaint = "";

  constructor(
    private readonly settings: HttpSourceSettings,
    private readonly log: Log,
  ) {
    const { url, stateDirectory } = settings;
    this.place = `${url.origin}${url.pathname}`;
    this.kept = stateDirectory === undefined ? undefined : new KeptInventory(stateDirectory, url);
  }

  async start(receiver: InventoryReceiver): Promise<void> {
    this.receiver = receiver;
    await this.offerKept();
    void this.look();
  }

  stop(): void {
    this.receiver = undefined;
    clearTimeout(this.timer);
    this.ending.abort();
  }

  private async offerKept(): Promise<void> {
    try {
      const kept = await this.kept?.load();
      if (kept === undefined || this.receiver === undefined) return;
      // One that is not right is asked for anew, ETag or not.
      if (await this.receiver.offer(kept.text, kept.confirmedSeconds)) this.answer = this.saved = kept;
    } catch (error) {
      this.log.error("kept inventory not usable", { source: this.place, problem: toError(error).message });
    }
  }

  private async look(): Promise<void> {
    try {
      const answer = await this.ask();
      this.failures = 0;
      this.answer = answer;
      if ((await this.receiver?.offer(answer.text)) === true) await this.keep(answer);
    } catch (error) {
      this.failures += 1;
      const { message } = toError(error);
      this.receiver?.failed(new Error(`The inventory ${this.place} cannot be read: ${message}`));
    }
    if (this.receiver !== undefined) this.timer = setTimeout(() => void this.look(), this.pause());
  }

  /** The plane's inventory, in full even when it is the last one. */
  private async ask(): Promise<FetchedInventory> {
    const { url, tokenFile, caFile, timeoutMilliseconds = defaultTimeoutMilliseconds } = this.settings;
    const token = tokenFile === undefined ? undefined : await readToken(tokenFile);
    const answer = await requestInventory({
      url,
      token,
      authorities: caFile === undefined ? undefined : await readSmallFile(caFile, "authorities"),
      etag: this.answer?.etag,
      timeoutMilliseconds,
      maxBytes: maxInventoryLength,
      signal: this.ending.signal,
    });
    if (!answer.changed) {
      if (this.answer === undefined)
        throw new Error("status 304, and there is nothing that could be unchanged");
      return this.answer;
    }
    // Errors quote the document.
    if (token !== undefined && answer.text.includes(token))
      throw new Error("the answer holds the token itself");
    return { text: answer.text, etag: answer.etag };
  }

  private async keep(answer: FetchedInventory): Promise<void> {
    if (this.kept === undefined) return;
    try {
      if (this.saved?.text === answer.text && this.saved.etag === answer.etag) await this.kept.confirm();
      else await this.kept.save(answer);
      this.saved = answer;
      this.complaint = "";
    } catch (error) {
      this.saved = undefined;
      const { message } = toError(error);
      if (message !== this.complaint && this.receiver !== undefined)
        this.log.error("inventory not kept for the next start", { problem: message });
      this.complaint = message;
    }
  }

  /** In milliseconds; spread, so that replicas do not ask in step. */
  private pause(): number {
    const usual = (this.settings.intervalSeconds ?? defaultIntervalSeconds) * 1_000;
    const retry = firstRetryMilliseconds * 2 ** Math.min(this.failures - 1, 20);
    const base = this.failures === 0 ? usual : Math.min(usual, retry);
    return base * (0.9 + 0.2 * Math.random());
  }
}

async function readToken(path: string): Promise<string> {
  const token = (await readSmallFile(path, "token")).trim();
  if (tokenPattern.test(token)) return token;
  throw new Error(
    `the token file ${path} must hold 8 to 4096 characters without spaces; got ${token.length} that are not so`,
  );
}

async function readSmallFile(path: string, what: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new Error(`the ${what} file ${path} cannot be read (${errorCode(error) ?? "unknown reason"})`, {
      cause: error,
    });
  }
}
