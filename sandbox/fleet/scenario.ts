import { readFile } from "node:fs/promises";
import type { Inventory } from "../../exporter/identify/inventory";
import { parseInventory } from "../../exporter/identify/inventory";
import { SandboxError } from "../error";
import type { Sender } from "../ledger/ledger";
import { Ledger, unknownSender } from "../ledger/ledger";
import type { Faults } from "../xboard/faults";
import { noFaults } from "../xboard/faults";
import { browsePanel, forgeProxyHeader } from "./actors";
import { NodeClient, runTimers, waited } from "./nodeClient";
import type { OutsideAddresses, PlannedNode } from "./plan";
import { outsideAddresses, planFleet, recreatedInBlock } from "./plan";
import type { Target } from "./transport";

/** What the scenario is doing. */
export interface ScenarioProgress {
  /** 1 to `steps`. */
  readonly step: number;
  readonly steps: number;
  readonly what: string;
  /** Requests so far. */
  readonly requests: number;
}

/** Options of `runScenario`. */
export interface ScenarioOptions {
  readonly target: Target;
  /** That of `fleet/sandbox.yaml`: the scenario's roles are given to its VPSes by name. */
  readonly inventory: Inventory;
  readonly token: string;
  /** Puts faults in force at the panel; settles once they are. */
  readonly setFaults: (faults: Faults) => Promise<void>;
  /** In place of XrayR's 60 seconds; default 1,000. */
  readonly intervalMilliseconds?: number;
  /**
   * Enters a re-created VPS's new address in the inventory; settles once the exporter has it in force. Without it
   * the VPS stays unknown at its new address.
   */
  readonly moveVps?: (name: string, addresses: readonly string[]) => Promise<void>;
  /** Where the callers outside the fleet call from; default `outsideAddresses`. */
  readonly outside?: OutsideAddresses;
  /** Called at the start of each step and every second. */
  readonly progress?: (progress: ScenarioProgress) => void;
  /** Default: a new one. */
  readonly ledger?: Ledger;
}

/** Reads `fleet/sandbox.yaml` the way the exporter does. */
export async function readInventory(file: string): Promise<Inventory> {
  return parseInventory(await readFile(file, "utf8"), file);
}

/** Patience of a caller whose call hangs; never so short that a busy machine makes other calls late, too. */
const hangPatience = { intervals: 0.8, leastMilliseconds: 250 } as const;

/**
 * Plays the fixed scenario of the sandbox: twelve VPSes, every endpoint, every fault, and the callers that must not
 * be mistaken for a VPS. It counts turns and not seconds, so that each run makes the same calls whatever
 * the machine's speed: 877 requests, 885 with `moveVps`; about 25 seconds at the default interval.
 *
 * @returns the ledger of everything sent.
 * @throws {SandboxError} when the inventory lacks a VPS that has a role.
 */
export async function runScenario(options: ScenarioOptions): Promise<Ledger> {
  const scenario = new Scenario(options);
  try {
    await scenario.run();
  } finally {
    await scenario.close();
  }
  return scenario.ledger;
}

class Scenario {
  readonly ledger: Ledger;
  private readonly clients = new Map<string, NodeClient>();
  private readonly nodes = new Map<string, { readonly node: PlannedNode; readonly sender: Sender }>();
  private readonly interval: number;
  private readonly token: string;
  private readonly outside: OutsideAddresses;

  constructor(private readonly options: ScenarioOptions) {
    this.ledger = options.ledger ?? new Ledger();
    this.interval = options.intervalMilliseconds ?? 1_000;
    this.token = options.token;
    this.outside = options.outside ?? outsideAddresses;
    for (const { vps, region, nodes } of planFleet(options.inventory, this.outside)) {
      for (const node of nodes) this.nodes.set(nodeKey(vps, node.nodeId), { node, sender: { vps, region } });
    }
  }

  async run(): Promise<void> {
    const steps: readonly (readonly [what: string, run: () => Promise<void>])[] = [
      ["all VPSes start and poll", () => this.poll()],
      ["faults by node and endpoint, wrong callers", () => this.fail()],
      ["the panel is in maintenance", () => this.maintain()],
      ["an old panel, strangers, forgers and panel users", () => this.intrude()],
      ["a silent VPS and two re-created ones", () => this.recreate()],
    ];
    for (const [index, [what, run]] of steps.entries()) {
      const report = () =>
        this.options.progress?.({ step: index + 1, steps: steps.length, what, requests: this.ledger.total });
      report();
      const ticker = setInterval(report, 1_000);
      await run().finally(() => clearInterval(ticker));
    }
    await this.options.setFaults(noFaults);
  }

  async close(): Promise<void> {
    await Promise.all([...this.clients.values()].map((client) => client.close()));
  }

  private async poll(): Promise<void> {
    await this.options.setFaults(noFaults);
    const all = [...this.nodes.entries()];
    await Promise.all(
      all.map(async ([key, { node, sender }], index) => {
        // Machines do not start at the same moment.
        await waited((this.interval * index) / all.length);
        const client = this.open(key, node, sender);
        await client.start();
        await this.turns(client, 5);
      }),
    );
  }

  private async fail(): Promise<void> {
    await this.options.setFaults({
      ...noFaults,
      rules: [
        { nodeId: "11", endpoint: "user", effect: { kind: "delay", milliseconds: this.interval * 0.3 } },
        { nodeId: "14", endpoint: "config", effect: { kind: "status", status: 500 } },
        { nodeId: "15", endpoint: "config", effect: { kind: "status", status: 503 } },
        { nodeId: "21", endpoint: "user", effect: { kind: "hang" } },
        { nodeId: "23", endpoint: "user", effect: { kind: "delay", milliseconds: this.interval * 0.7 } },
        { nodeId: "24", endpoint: "push", effect: { kind: "status", status: 500 } },
        { nodeId: "25", endpoint: "push", effect: { kind: "hang" } },
        { nodeId: "32", endpoint: "report", effect: { kind: "status", status: 503 } },
        { nodeId: "33", endpoint: "user", effect: { kind: "hang" } },
      ],
    });
    const hanging = [this.client("hk-001", "21"), this.client("hk-004", "25"), this.client("us-003", "33")];
    const patience = Math.max(hangPatience.leastMilliseconds, this.interval * hangPatience.intervals);
    for (const client of hanging) client.patienceMilliseconds = patience;
    const wrong = this.client("us-004", "34");
    const unreadable = this.client("jp-002", "12");
    await Promise.all([
      ...this.others(hanging).map((client) => this.turns(client, 5)),
      // Each call that hangs is tried four times: two turns fill the time of five.
      ...hanging.map((client) => this.turns(client, 2)),
      this.repeat(3, () => wrong.call({ endpoint: "config", method: "GET", token: "not-the-token" })),
      this.repeat(2, () => wrong.call({ endpoint: "config", method: "GET", nodeId: "no-such-node" })),
      this.repeat(2, () => wrong.call({ endpoint: "other", method: "GET", name: "no-such-call" })),
      this.repeat(2, () => unreadable.call({ endpoint: "push", method: "POST", body: '{"101":"much"}' })),
    ]);
    for (const client of hanging) client.patienceMilliseconds = 10_000;
  }

  private async maintain(): Promise<void> {
    await this.options.setFaults({ ...noFaults, maintenance: true });
    await Promise.all(this.others([]).map((client) => this.turns(client, 2)));
  }

  private async intrude(): Promise<void> {
    await this.options.setFaults({ ...noFaults, oldPanel: true });
    const { target } = this.options;
    const { ledger } = this;
    const victim = this.get("jp-001", "11");
    const forged = { headers: { "x-forwarded-for": victim.node.localAddress } };
    const wrong = this.client("us-004", "34");
    // The stranger claims a node of the fleet: the address is the identity, the claim is not.
    const stranger = this.outsider(this.outside.stranger, "11");
    const stranger6 = this.outsider(this.outside.strangerIpv6, "21");
    const forgingStranger = this.outsider(this.outside.stranger, "13", forged);
    const vps = this.get("us-003", "33");
    const forgingVps = this.open("forger", { ...vps.node, protocol: "h2" }, vps.sender, forged);
    const intruders = [stranger, stranger6, forgingStranger, forgingVps];
    const forger = this.get("jp-002", "12");
    const browse = (localAddress: string) =>
      browsePanel({ target, localAddress, ledger, userToken: "user-token-of-the-sandbox" });
    await Promise.all([
      ...[...this.clients.values()].map((client) => this.turns(client, 3)),
      this.repeat(2, () => wrong.call({ endpoint: "config", method: "GET", token: "not-the-token" })),
      this.repeat(2, () => wrong.call({ endpoint: "user", method: "GET", nodeId: "no-such-node" })),
      this.repeat(2, () => browse(this.outside.panelUser)),
      // A customer who browses the panel through a VPS has the VPS's address.
      this.repeat(2, () => browse(victim.node.localAddress)),
      this.repeat(2, () => this.forge(unknownSender, this.outside.stranger, victim.node.localAddress)),
      this.repeat(1, () => this.forge(forger.sender, forger.node.localAddress, victim.node.localAddress)),
    ]);
    await this.discard(intruders);
  }

  private async recreate(): Promise<void> {
    await this.options.setFaults(noFaults);
    const silent = this.client("jp-004", "15");
    const inBlock = this.get("us-001", "31");
    const moved = this.get("us-004", "34");
    await this.discard([this.client("us-001", "31"), this.client("us-004", "34")]);
    const sameBlock = this.options.inventory.vps.find(({ name }) => name === "us-001");
    const blockAddress = sameBlock === undefined ? undefined : recreatedInBlock(sameBlock);
    if (blockAddress === undefined) throw new SandboxError(missing("us-001 with a CIDR block"));
    const again = this.open(nodeKey("us-001", "31"), { ...inBlock.node, localAddress: blockAddress }, inBlock.sender);
    const elsewhere = { ...moved.node, localAddress: this.outside.recreated };
    const unknown = this.open(nodeKey("us-004", "34"), elsewhere, unknownSender);
    await Promise.all([
      ...this.others([silent, again, unknown]).map((client) => this.turns(client, 4)),
      again.start().then(() => this.turns(again, 4)),
      this.moveAway(unknown, elsewhere, moved.sender),
    ]);
  }

  /** A VPS at an address that nobody entered is unknown; from the moment it is entered it has its name again. */
  private async moveAway(unknown: NodeClient, node: PlannedNode, sender: Sender): Promise<void> {
    await unknown.start();
    await this.turns(unknown, 2);
    if (this.options.moveVps === undefined) return;
    await this.discard([unknown]);
    await this.options.moveVps(sender.vps, [node.localAddress]);
    const known = this.open("moved", node, sender);
    await known.start();
    await this.turns(known, 2);
  }

  private forge(sender: Sender, localAddress: string, claimedAddress: string) {
    const { target } = this.options;
    const { ledger, token } = this;
    return forgeProxyHeader({ target, sender, localAddress, claimedAddress, nodeId: "11", token, ledger });
  }

  private turns(client: NodeClient, turns: number): Promise<void> {
    return runTimers(client, { intervalMilliseconds: this.interval, turns });
  }

  private async repeat(times: number, action: () => Promise<unknown>): Promise<void> {
    for (let time = 0; time < times; time += 1) {
      await waited(this.interval / 2);
      await action();
    }
  }

  private outsider(localAddress: string, nodeId: string, extra: { headers?: Readonly<Record<string, string>> } = {}) {
    const node: PlannedNode = { nodeId, client: "xrayr", protocol: "h2", localAddress, traffic: "busy" };
    return this.open(`outsider ${localAddress} ${nodeId}`, node, unknownSender, extra);
  }

  private open(
    key: string,
    node: PlannedNode,
    sender: Sender,
    extra: { headers?: Readonly<Record<string, string>> } = {},
  ): NodeClient {
    const { target } = this.options;
    const { token, ledger } = this;
    const client = new NodeClient({ sender, node, target, token, ledger, retryWaitMilliseconds: 20, ...extra });
    this.clients.set(key, client);
    return client;
  }

  /** Takes clients out of the run: their machines are gone. */
  private async discard(clients: readonly NodeClient[]): Promise<void> {
    for (const [key, client] of this.clients) if (clients.includes(client)) this.clients.delete(key);
    await Promise.all(clients.map((client) => client.close()));
  }

  /** All clients but these. */
  private others(excepted: readonly NodeClient[]): NodeClient[] {
    return [...this.clients.values()].filter((client) => !excepted.includes(client));
  }

  private client(vps: string, nodeId: string): NodeClient {
    const client = this.clients.get(nodeKey(vps, nodeId));
    if (client === undefined) throw new SandboxError(missing(`${vps} with the node id ${nodeId}`));
    return client;
  }

  private get(vps: string, nodeId: string) {
    const planned = this.nodes.get(nodeKey(vps, nodeId));
    if (planned === undefined) throw new SandboxError(missing(`${vps} with the node id ${nodeId}`));
    return planned;
  }
}

function nodeKey(vps: string, nodeId: string): string {
  return `${vps}/${nodeId}`;
}

function missing(what: string): string {
  return `The scenario needs ${what}, and the inventory has none. Restore it in fleet/sandbox.yaml, or run the open-ended sandbox.`;
}
