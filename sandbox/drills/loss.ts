import { runOnPlatform } from "../inside";
import { differenceTable } from "../ledger";
import { away, kill, rolling, type Drill, type KillResult } from "./acts";
import { ExporterDeployment } from "./exporterDeployment";
import type { ActResult } from "./load";

/**
 * `make drill-loss`: what a rolling update, an outage and a kill of the exporter cost, held against the ledger. Two replicas;
 * every figure is lost of sent.
 */
runOnPlatform({}, async (platform) => {
  const started = performance.now();
  const tell = (line: string) =>
    console.log(`${((performance.now() - started) / 1_000).toFixed(0).padStart(5)} s  ${line}`);
  const times = { steadySeconds: 15, awaySeconds: 30 };
  const drill: Drill = { platform, deployment: new ExporterDeployment(platform), times, tell };
  const act = async <Result extends ActResult>(name: string, run: (drill: Drill) => Promise<Result>) => {
    tell(`act ${name}`);
    const result = await run({ ...drill, tell: (line) => tell(`  ${line}`) });
    tell(`  ${summary(result)}`);
    return result;
  };
  const roll = await act("rolling", rolling);
  const gone = await act("away30s", away);
  for (const result of [roll, gone]) if (!result.complete) console.log(differenceTable(result));
  const killed = await act("kill9", kill);
  tell(
    `kill9: ${killed.lost} lost, ${killed.dropped} of them counted as dropped by the gateway; at most ${killed.bound} possible`,
  );
  console.log(
    `loss: rolling ${roll.off} of ${roll.sent}, away30s ${gone.off} of ${gone.sent}, kill9 ${killed.lost} of ${killed.sent}`,
  );
  return roll.off === 0 && gone.off === 0 && withinBound(killed) ? 0 : 1;
});

/** A replica that is killed may cost what nobody had read of it; counting anything twice is no part of that. */
const withinBound = ({ lost, misattributed, bound }: KillResult) => lost <= bound && misattributed === 0;

const summary = ({ matched, sent, lost, misattributed }: ActResult) =>
  `${matched} of ${sent} requests counted, ${lost} lost, ${misattributed} counted too often or wrongly`;
