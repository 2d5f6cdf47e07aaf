import { setImmediate as nextTurn } from "node:timers/promises";
import { deserialize, serialize } from "node:v8";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { errorCode, toError } from "../error";
import type { Vps } from "./inventory";
import { parseInventory } from "./inventory";
import { summarise } from "./issue";
import type { MergedInventory } from "./merge";
import { mergeInventories } from "./merge";

/** An inventory as it was read, unchecked. */
export interface InventoryDocument {
  /** How errors name it: a file's path, or a URL without query. */
  readonly place: string;
  readonly text: string;
}

/** What reading may cost. */
export interface ReadingLimits {
  /** Default 60,000. */
  readonly milliseconds: number;
  /** Heap of the thread that reads, in MiB. Default 256. */
  readonly heapMiB: number;
}

/** Inventories that could not be read; the message is fit for people. */
export class ReadingError extends Error {
  override readonly name = "ReadingError";

  constructor(
    message: string,
    /** `document`: it is wrong and will stay so; `limit`: reading took too long or too much memory this time. */
    readonly reason: "document" | "limit",
    /** In one line, quoting nothing of the document. */
    readonly summary: string = message,
  ) {
    super(message);
  }
}

interface Job {
  readonly task: typeof task;
  readonly documents: readonly InventoryDocument[];
}

/** The fleet travels in slices, each taken apart in a turn of the event loop of its own. */
interface Reply {
  readonly problem?: { readonly message: string; readonly summary: string };
  readonly source: string;
  readonly overridden: readonly string[];
  readonly slices: readonly Uint8Array[];
}

const task = "vpsight: read inventories";
const vpsPerSlice = 250;

/**
 * Checks and merges inventories in a thread of its own: the YAML of 10,000 VPSes takes seconds, and a document made
 * to exhaust its reader ends that thread and not the service. The thread runs this same file (in production the
 * one bundle, see the end of the file) and is gone afterwards with all its memory.
 * @param documents the one that wins first; see `mergeInventories`.
 * @throws ReadingError when one of them is wrong, when they are wrong together, or when a limit was reached.
 */
export async function readInBackground(
  documents: readonly InventoryDocument[],
  { milliseconds = 60_000, heapMiB = 256 }: Partial<ReadingLimits> = {},
): Promise<MergedInventory> {
  const job: Job = { task, documents };
  const worker = new Worker(__filename, {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: heapMiB },
    // From the sources, as in tests, the thread needs what turns TypeScript into JavaScript.
    execArgv: __filename.endsWith(".ts") ? ["--import", "tsx"] : [],
  });
  const timeout = setTimeout(() => void worker.terminate(), milliseconds);
  let reply: Reply;
  try {
    reply = await replyOf(worker, documents, { milliseconds, heapMiB });
  } finally {
    clearTimeout(timeout);
  }
  const { problem } = reply;
  if (problem !== undefined) throw new ReadingError(problem.message, "document", problem.summary);
  const vps: Vps[] = [];
  for (const slice of reply.slices) {
    vps.push(...(deserialize(slice) as Vps[]));
    await nextTurn();
  }
  return { source: reply.source, overridden: reply.overridden, vps };
}

function replyOf(
  worker: Worker,
  documents: readonly InventoryDocument[],
  { milliseconds, heapMiB }: ReadingLimits,
): Promise<Reply> {
  const places = documents.map(({ place }) => place).join(" with ");
  const limit = (reason: string) => new ReadingError(`Reading the inventory ${places} ${reason}`, "limit");
  return new Promise((resolve, reject) => {
    worker.once("message", (reply: Reply) => resolve(reply));
    worker.once("error", (error: unknown) => {
      const outOfMemory = errorCode(error) === "ERR_WORKER_OUT_OF_MEMORY";
      const failed = `failed: ${toError(error).message}`;
      reject(limit(outOfMemory ? `takes more than ${heapMiB} MiB of memory` : failed));
    });
    // After a reply this changes nothing any more.
    worker.once("exit", () => reject(limit(`takes more than ${milliseconds / 1_000} s`)));
  });
}

function isJob(data: unknown): data is Job {
  return typeof data === "object" && data !== null && "task" in data && data.task === task;
}

function perform({ documents }: Job): Reply {
  try {
    const { vps, source, overridden } = mergeInventories(
      documents.map(({ text, place }) => parseInventory(text, place)),
    );
    const slices: Uint8Array[] = [];
    for (let start = 0; start < vps.length; start += vpsPerSlice)
      slices.push(serialize(vps.slice(start, start + vpsPerSlice)));
    return { source, overridden, slices };
  } catch (thrown) {
    const error = toError(thrown);
    return {
      problem: { message: error.message, summary: summarise(error) },
      source: "",
      overridden: [],
      slices: [],
    };
  }
}

// This file (or the bundle that holds it) was started as a thread, not as a program: nothing that would be loaded
// after it is needed.
if (!isMainThread && isJob(workerData)) {
  parentPort?.postMessage(perform(workerData));
  process.exit();
}
