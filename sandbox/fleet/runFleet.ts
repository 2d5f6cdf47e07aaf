import type { Ledger } from "../ledger/ledger";
import { unknownSender } from "../ledger/ledger";
import type { Faults, FaultRule } from "../xboard/faults";
import { noFaults } from "../xboard/faults";
import { browsePanel } from "./actors";
import { NodeClient, runTimers, waited } from "./nodeClient";
import type { PlannedNode, PlannedVps } from "./plan";
import { outsideAddresses } from "./plan";
import type { Target } from "./transport";

/** Options of `runFleet`. */
export interface FleetOptions {
  readonly target: Target;
  readonly plan: readonly PlannedVps[];
  readonly token: string;
  /** XrayR's is 60,000, which is the default. */
  readonly intervalMilliseconds?: number;
  /** Use one with `keepEntries: false` for a run without an end. */
  readonly ledger: Ledger;
  /** Ends the run; calls under way are finished first. */
  readonly signal: AbortSignal;
  /** A stranger with the token and a panel user call as well; default true. */
  readonly strangers?: boolean;
}

/** Plays the whole fleet until the signal; settles when the last connection is closed. */
export async function runFleet(options: FleetOptions): Promise<void> {
  const { target, plan, token, ledger, signal, intervalMilliseconds = 60_000 } = options;
  const run = async (client: NodeClient, wait: number) => {
    // Each VPS was started at another time: spread over one interval they make an even load.
    if (await waited(wait, signal)) {
      await client.start();
      await runTimers(client, { intervalMilliseconds, signal });
    }
    await client.close();
  };
  const nodes = plan.flatMap(({ vps, region, nodes }) => nodes.map((node) => ({ node, sender: { vps, region } })));
  const strangers = options.strangers ?? true;
  const stranger: PlannedNode = {
    ...{ nodeId: nodes[0]?.node.nodeId ?? "1", client: "xrayr", protocol: "h2", traffic: "idle" },
    localAddress: outsideAddresses.stranger,
  };
  const callers = strangers ? [...nodes, { node: stranger, sender: unknownSender }] : nodes;
  await Promise.all([
    ...callers.map(({ node, sender }, index) =>
      run(new NodeClient({ sender, node, target, token, ledger }), (intervalMilliseconds * index) / callers.length),
    ),
    ...(strangers ? [browse(options, intervalMilliseconds)] : []),
  ]);
}

async function browse({ target, ledger, signal }: FleetOptions, intervalMilliseconds: number): Promise<void> {
  const localAddress = outsideAddresses.panelUser;
  while (await waited(intervalMilliseconds * 3, signal)) {
    await browsePanel({ target, localAddress, ledger, userToken: "user-token-of-the-sandbox" });
  }
}

/** Options of `tourFaults`. */
export interface TourOptions {
  readonly plan: readonly PlannedVps[];
  readonly setFaults: (faults: Faults) => Promise<void>;
  readonly signal: AbortSignal;
  /** How long each fault stays, and each pause between two; default 30,000. */
  readonly dwellMilliseconds?: number;
  /** Called with each fault as it begins, and with `healthy` in the pauses. */
  readonly progress?: (what: string) => void;
}

/** Gives an open-ended run something to show: one VPS after another has a fault for a while. */
export async function tourFaults(options: TourOptions): Promise<void> {
  const { plan, setFaults, signal, dwellMilliseconds = 30_000, progress } = options;
  const effects: readonly (readonly [string, Pick<FaultRule, "endpoint" | "effect">])[] = [
    ["slow user list", { endpoint: "user", effect: { kind: "delay", milliseconds: 800 } }],
    ["config fails with 500", { endpoint: "config", effect: { kind: "status", status: 500 } }],
    ["traffic report fails with 503", { endpoint: "push", effect: { kind: "status", status: 503 } }],
  ];
  for (let turn = 0; plan.length > 0; turn += 1) {
    const vps = plan[turn % plan.length];
    const effect = effects[turn % effects.length];
    if (vps === undefined || effect === undefined) return;
    progress?.("healthy");
    if (!(await waited(dwellMilliseconds, signal))) return;
    progress?.(`${vps.vps}: ${effect[0]}`);
    await setFaults({ ...noFaults, rules: vps.nodes.map(({ nodeId }) => ({ nodeId, ...effect[1] })) });
    const goOn = await waited(dwellMilliseconds, signal);
    await setFaults(noFaults);
    if (!goOn) return;
  }
}
