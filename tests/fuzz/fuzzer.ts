import { maxRecordsPerBatch } from "../../exporter/receive/decode";
import { SeededRandom } from "../exporter/random";
import { check } from "./check";
import type { CodeCoverage } from "./coverage";
import { createCrowd, createRequest } from "./grammar";
import { mutateBytes, mutateTree } from "./mutate";
import type { Outcome } from "./subject";
import { decode } from "./subject";
import { serialise } from "./tree";

/** What a run has seen so far. */
export interface FuzzCounts {
  inputs: number;
  taken: number;
  readonly refused: Map<string, number>;
  /** Inputs that keep to OTLP's grammar, which protobufjs decoded as well. */
  lawful: number;
  records: number;
  foreign: number;
  largestInput: number;
}

/** An input on which the decoder did what it must not. */
export class Crash extends Error {
  override readonly name = "Crash";

  constructor(
    readonly input: Buffer,
    override readonly cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause));
  }
}

/** Inputs kept because they showed something new; the oldest make room. */
const mostKept = 4_096;
/** Larger ones would make the run slow and show nothing that a smaller one does not. */
const largestKept = 4_096;
/** Inputs between two looks at the coverage, which costs as much as some dozens of them. */
const coverageInterval = 1_024;

/**
 * Feeds the decoder with made-up messages: by OTLP's grammar, with fields broken, with bytes broken, and with bytes broken
 * of earlier inputs that showed something new (code that had not run before, or a kind of outcome not seen before).
 */
export class Fuzzer {
  readonly counts: FuzzCounts = {
    inputs: 0,
    taken: 0,
    refused: new Map(),
    lawful: 0,
    records: 0,
    foreign: 0,
    largestInput: 0,
  };
  /** Inputs that showed something new. */
  readonly kept: Buffer[] = [];
  /** How long no input has reached new code; only counted while coverage is watched. */
  inputsSinceNewCode = 0;
  private readonly random: SeededRandom;
  private readonly seen = new Set<string>();
  private recent: Buffer[] = [];

  /** @param coverage of the decoder; without it, only kinds of outcomes tell what is new. */
  constructor(
    seed: number,
    private coverage?: CodeCoverage,
  ) {
    this.random = new SeededRandom(seed);
  }

  /** One input. @throws Crash */
  step(): void {
    const { input, lawful } = this.create();
    this.count(input, lawful, this.run(input, lawful));
    if (this.coverage === undefined) return;
    this.recent.push(input);
    if (this.recent.length === coverageInterval) this.lookAtCoverage(this.coverage);
  }

  /** Goes on without coverage, which is several times faster. */
  forgetCoverage(): void {
    this.coverage = undefined;
    this.recent = [];
  }

  private create(): { readonly input: Buffer; readonly lawful: boolean } {
    const { random, kept } = this;
    const pick = () => kept[random.below(kept.length)] ?? Buffer.alloc(0);
    if (random.below(3) === 0) {
      let input = pick();
      for (let more = random.below(4); more >= 0; more -= 1) input = mutateBytes(random, input, pick());
      return { input: input.subarray(0, 1 << 20), lawful: false };
    }
    const crowded = random.below(5_000) === 0;
    const tree = crowded ? createCrowd(maxRecordsPerBatch - 2 + random.below(4)) : createRequest(random);
    // More records than are allowed are refused, however lawful.
    let lawful = !crowded;
    for (let more = random.below(4); more > 0; more -= 1) lawful = mutateTree(random, tree) && lawful;
    const input = serialise(tree);
    if (random.below(4) > 0) return { input, lawful };
    return { input: mutateBytes(random, input, pick()), lawful: false };
  }

  private run(input: Buffer, lawful: boolean): Outcome {
    try {
      return check(input, lawful);
    } catch (error) {
      throw new Crash(input, error);
    }
  }

  private count(input: Buffer, lawful: boolean, outcome: Outcome): void {
    const { counts } = this;
    counts.inputs += 1;
    counts.largestInput = Math.max(counts.largestInput, input.length);
    if (lawful) counts.lawful += 1;
    if (outcome.taken) {
      counts.taken += 1;
      counts.records += outcome.records.length;
      counts.foreign += outcome.foreign;
    } else counts.refused.set(outcome.fault, (counts.refused.get(outcome.fault) ?? 0) + 1);
    const kind = kindOf(outcome);
    if (this.seen.has(kind)) return;
    this.seen.add(kind);
    this.keep(input);
  }

  /** Keeps, of the latest inputs, those behind code that ran for the first time. */
  private lookAtCoverage(coverage: CodeCoverage): void {
    const candidates = this.recent;
    this.recent = [];
    const found = coverage.takeNew();
    this.inputsSinceNewCode = found.size > 0 ? 0 : this.inputsSinceNewCode + candidates.length;
    this.locate(coverage, candidates, found);
  }

  /** Finds who runs the wanted code by running one half again, and then the half of that half. */
  private locate(coverage: CodeCoverage, candidates: readonly Buffer[], wanted: ReadonlySet<number>): void {
    const [first] = candidates;
    if (first === undefined || wanted.size === 0) return;
    if (candidates.length === 1) {
      this.keep(first);
      return;
    }
    const middle = candidates.length >> 1;
    const half = candidates.slice(0, middle);
    for (const input of half) decode(input);
    const run = new Set(coverage.take());
    this.locate(coverage, half, new Set([...wanted].filter((position) => run.has(position))));
    this.locate(
      coverage,
      candidates.slice(middle),
      new Set([...wanted].filter((position) => !run.has(position))),
    );
  }

  private keep(input: Buffer): void {
    if (input.length > largestKept) return;
    if (this.kept.length < mostKept) this.kept.push(input);
    else this.kept[this.random.below(mostKept)] = input;
  }
}

/** Outcomes of one kind need no second input: how many records, and which of their fields hold what. */
function kindOf(outcome: Outcome): string {
  if (!outcome.taken) return outcome.fault;
  const shape = (value: string | number | undefined): string => {
    if (typeof value === "string") return value === "" ? "e" : "t";
    return value === undefined ? "u" : Number.isNaN(value) ? "n" : value === 0 ? "0" : "1";
  };
  const [first] = outcome.records;
  const fields = first === undefined ? "" : Object.values(first).map(shape).join("");
  return `${Math.round(Math.log2(outcome.records.length + 1))} ${Math.round(Math.log2(outcome.foreign + 1))} ${fields}`;
}
