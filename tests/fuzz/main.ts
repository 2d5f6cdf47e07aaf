import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { check, Finding } from "./check";
import { CodeCoverage } from "./coverage";
import { Crash, Fuzzer } from "./fuzzer";

/**
 * `make fuzz`: the decoder against made-up messages. Exit code 0, or 1 with the input in a file.
 * Settings: how many inputs (default 2 million), the seed (default: another one in each run), or one file to run again.
 */
const defaults = { inputs: 2_000_000 } as const;
/** Inputs without new code after which the coverage counts as complete. */
const patience = 100_000;
const progressMilliseconds = 5_000;
/** The decoder keeps nothing; this is room for the kept inputs and what the collector has not yet taken. */
const mostHeapGrowthMebibytes = 64;

interface Settings {
  readonly inputs: number;
  readonly seed: number;
  readonly file: string | undefined;
}

function readSettings(args: string[]): Settings {
  const { values } = parseArgs({
    args,
    options: { inputs: { type: "string" }, seed: { type: "string" }, file: { type: "string" } },
  });
  const read = (name: "inputs" | "seed", fallback: number) => {
    const text = values[name] ?? String(fallback);
    if (!/^\d{1,10}$/.test(text)) throw new RangeError(`${name}: must be a whole number; got "${text}"`);
    return Number(text);
  };
  return {
    inputs: read("inputs", defaults.inputs),
    seed: read("seed", Date.now() % 2 ** 31),
    file: values.file,
  };
}

function main(settings: Settings): number {
  if (settings.file !== undefined) return repeat(settings.file);
  const coverage = new CodeCoverage("/exporter/receive/decode.ts");
  const fuzzer = new Fuzzer(settings.seed, coverage);
  console.log(
    `fuzz: ${settings.inputs} inputs, seed ${settings.seed} (again: make fuzz seed=${settings.seed})`,
  );
  // Refusals are errors, and most of an error's cost is its stack.
  Error.stackTraceLimit = 0;
  const heapBefore = heapMebibytes();
  let nextReport = Date.now() + progressMilliseconds;
  let crashes = 0;
  let watching = true;
  const stopWatching = () => {
    watching = false;
    fuzzer.forgetCoverage();
    coverage.stop();
    console.log(
      `fuzz: ${coverage.percent} % of the decoder run, nothing new for ${patience} inputs; on without counters. Not in full: ${coverage.missed.join(", ") || "none"}`,
    );
  };
  try {
    while (fuzzer.counts.inputs < settings.inputs) {
      fuzzer.step();
      if (watching && fuzzer.inputsSinceNewCode > patience) stopWatching();
      if (Date.now() < nextReport) continue;
      nextReport = Date.now() + progressMilliseconds;
      const { inputs } = fuzzer.counts;
      console.log(
        `fuzz: ${inputs} inputs, ${Math.round((100 * inputs) / settings.inputs)} %, ${fuzzer.kept.length} kept, ${coverage.percent} % of the decoder run`,
      );
    }
  } catch (error) {
    if (!(error instanceof Crash)) throw error;
    crashes = 1;
    console.error(`fuzz: ${error.message}\n${save(error.input, settings.seed)}`);
  }
  const grown = heapMebibytes() - heapBefore;
  const { counts } = fuzzer;
  console.log(
    `fuzz: ${counts.lawful} inputs were lawful and compared with protobufjs; ${counts.records} records and ${counts.foreign} foreign ones; largest input ${counts.largestInput} bytes`,
  );
  if (grown > mostHeapGrowthMebibytes)
    console.error(`fuzz: the heap must grow by at most ${mostHeapGrowthMebibytes} MiB`);
  const refusals = [...counts.refused].map(([fault, count]) => `${fault} ${count}`).join(", ");
  const refused = [...counts.refused.values()].reduce((sum, count) => sum + count, 0);
  console.log(
    `fuzz: ${counts.inputs} inputs, ${crashes} crashes, ${counts.taken} batches taken, ${refused} refused (${refusals}), heap grew ${grown} MiB`,
  );
  return crashes > 0 || grown > mostHeapGrowthMebibytes ? 1 : 0;
}

/** Runs one saved input. */
function repeat(file: string): number {
  try {
    const outcome = check(readFileSync(file), false);
    console.log(
      `fuzz: ${file}: ${outcome.taken ? `taken, ${outcome.records.length} records` : outcome.fault}`,
    );
    return 0;
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    console.error(`fuzz: ${file}: ${error.message}`);
    return 1;
  }
}

/** Saves an input. @returns where, and how to run it again. */
function save(input: Buffer, seed: number): string {
  const file = `fuzz-crash-${seed}.bin`;
  writeFileSync(file, input);
  return `fuzz: the input is in ${file}; again: make fuzz file=${file}`;
}

function heapMebibytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  return Math.round(process.memoryUsage().heapUsed / 2 ** 20);
}

process.exitCode = main(readSettings(process.argv.slice(2)));
