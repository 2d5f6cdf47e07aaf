import { cpuMicroseconds, residentMiB } from "../cpu";
import { median } from "../results";
import {
  startCollector,
  startExporter,
  startMtail,
  type Contender,
  type ContenderOptions,
} from "./contenders";

/** What one contender came to. */
export interface CountingFigures {
  name: string;
  title: string;
  recordsPerCpuSecond: number;
  residentMiB: number;
  sent: number;
  counted: number;
}

const contenders: readonly {
  name: string;
  title: string;
  /** Records of one round: about the same time for each. */
  records: number;
  start: (options: ContenderOptions) => Promise<Contender>;
}[] = [
  { name: "exporter", title: "vpsight exporter", records: 2_000_000, start: startExporter },
  {
    ...{ name: "collector", title: "OpenTelemetry Collector", records: 400_000 },
    start: (options) => startCollector(options, false),
  },
  {
    ...{ name: "countingCollector", title: "… with deltatocumulative", records: 400_000 },
    start: (options) => startCollector(options, true),
  },
  { name: "mtail", title: "mtail, from JSON lines", records: 200_000, start: startMtail },
];

/**
 * Records per second of CPU time for each contender, all running at once and taking turns: a slow moment of the machine
 * meets all of them. One round of each is not counted.
 * @param share of a full round's records.
 */
export async function measureCounting(
  options: ContenderOptions,
  { rounds, share }: { rounds: number; share: number },
  onTurn: (text: string) => void,
): Promise<CountingFigures[]> {
  const running: { contender: Contender; rates: number[]; sent: number }[] = [];
  try {
    for (const { start } of contenders) running.push({ contender: await start(options), rates: [], sent: 0 });
    for (let round = 0; round <= rounds; round += 1) {
      for (const [index, turn] of running.entries()) {
        const { title = "", records = 0 } = contenders[index] ?? {};
        const before = cpuMicroseconds(turn.contender.pid);
        const taken = await turn.contender.feed(records * share);
        const rate = taken / ((cpuMicroseconds(turn.contender.pid) - before) / 1e6);
        turn.sent += taken;
        if (round > 0) turn.rates.push(rate);
        onTurn(`${title}, round ${round} of ${rounds}: ${Math.round(rate / 1e3)} k records per CPU-second`);
      }
    }
    return await Promise.all(
      running.map(async ({ contender, rates, sent }, index) => ({
        ...{ name: contenders[index]?.name ?? "", title: contenders[index]?.title ?? "" },
        ...{ recordsPerCpuSecond: median(rates), residentMiB: residentMiB(contender.pid), sent },
        counted: await contender.counted(),
      })),
    );
  } finally {
    await Promise.all(running.map(({ contender }) => contender.stop()));
  }
}
