import { checkCoverage, runScenario } from "./fleet";
import { runOnPlatform } from "./inside";
import {
  checkLatency,
  describeLatencyProblem,
  differenceTable,
  reconciliationLine,
  waitForCounts,
} from "./ledger";

/** `make sandbox-once`: the fixed scenario, then every request is accounted for. */
runOnPlatform({}, async (platform) => {
  const { target, inventory, token, xboard, prometheus, moveVps } = platform;
  let step = 0;
  const ledger = await runScenario({
    target,
    inventory,
    token,
    setFaults: (faults) => xboard.setFaults(faults),
    moveVps,
    progress: (progress) => {
      if (progress.step === step) return;
      step = progress.step;
      console.log(
        `scenario ${step}/${progress.steps}: ${progress.what} (${progress.requests} requests so far)`,
      );
    },
  });
  const { requests } = await xboard.requests();
  console.log(`scenario done: ${ledger.total} requests sent; waiting for Prometheus to have them`);
  const result = await waitForCounts(ledger.counts(), () => prometheus.requestCounts());
  const latency = checkLatency(ledger.entries, requests, await prometheus.bucketCounts());

  if (!result.complete) console.log(differenceTable(result));
  for (const problem of latency.problems) console.log(`  ${describeLatencyProblem(problem)}`);
  const uncovered = checkCoverage(ledger, inventory);
  for (const problem of uncovered) console.log(`  the scenario did not do its part: ${problem}`);
  console.log(`latency: ${latency.checked} buckets checked, ${latency.problems.length} wrong`);
  console.log(reconciliationLine(result));
  return result.complete && latency.problems.length === 0 && uncovered.length === 0 ? 0 : 1;
});
