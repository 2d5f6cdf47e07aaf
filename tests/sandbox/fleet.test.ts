import type { AddressInfo, Socket } from "node:net";
import { connect, createServer as createTcpServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { durationBuckets } from "../../exporter/measure/seriesTable";
import { parseRange } from "../../exporter/identify/address";
import { parseInventory } from "../../exporter/identify/inventory";
import type { NodeClientOptions, PlannedNode } from "../../sandbox/fleet";
import {
  checkCoverage,
  fleetAddresses,
  forgeProxyHeader,
  NodeClient,
  outsideAddresses,
  panelNodeIds,
  planFleet,
  readInventory,
  runFleet,
  runScenario,
  runTimers,
} from "../../sandbox/fleet";
import { proxyHeader } from "../../sandbox/fleet/proxyHeader";
import { checkLatency, Ledger, reconcile, reconciliationLine, unknownSender } from "../../sandbox/ledger";
import type { Faults, Xboard } from "../../sandbox/xboard";
import { noFaults, startXboard } from "../../sandbox/xboard";
import type { TestCertificates } from "./fleetGateway";
import { makeCertificates, TestGateway } from "./fleetGateway";

// On loopback, where every 127.x address can be bound: what is shown is the clients, the scenario and the ledger
// against real TLS and HTTP servers. Not shown: PROXY protocol, Envoy, IPv6 and the real exporter (see tests/mesh).

const token = "panel-token-3f9c";
const sender = { vps: "jp-001", region: "jp" };
const node: PlannedNode = {
  nodeId: "11",
  client: "xrayr",
  protocol: "h2",
  traffic: "busy",
  localAddress: "127.0.7.1",
};

let certificates: TestCertificates;
let xboard: Xboard;
let gateway: TestGateway;
let ledger: Ledger;
const clients: NodeClient[] = [];

beforeAll(async () => {
  certificates = await makeCertificates();
});

beforeEach(async () => {
  xboard = await startXboard({
    token,
    nodeIds: ["11", "12"],
    users: 20,
    port: 0,
    controlPort: 0,
    host: "127.0.0.1",
  });
  gateway = await TestGateway.start(certificates, xboard.port);
  ledger = new Ledger();
});

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await gateway.close();
  await xboard.close();
});

function open(changes: Partial<PlannedNode> = {}, options: Partial<NodeClientOptions> = {}): NodeClient {
  const client = new NodeClient({
    ...{
      sender,
      node: { ...node, ...changes },
      target: gateway.target,
      token,
      ledger,
      retryWaitMilliseconds: 5,
    },
    ...options,
  });
  clients.push(client);
  return client;
}

const calls = () => ledger.entries.map(({ method, endpoint, code }) => `${method} ${endpoint} ${code}`);
const setFaults = async (faults: Partial<Faults>) => {
  xboard.state.faults = { ...noFaults, ...faults };
};

describe("a node's client", () => {
  it("plays XrayR: config then user, answered from cache the second time, and a report of traffic", async () => {
    const client = open();
    await client.start();
    await client.poll();
    await client.report();
    expect(calls()).toEqual([
      "GET config 200",
      "GET user 200",
      "GET config 304",
      "GET user 304",
      "POST push 200",
    ]);
    expect(gateway.log.map(({ path }) => path)).toEqual([
      ...["/api/v1/server/UniProxy/config", "/api/v1/server/UniProxy/user"],
      ...["/api/v1/server/UniProxy/config", "/api/v1/server/UniProxy/user", "/api/v1/server/UniProxy/push"],
    ]);
    const tags = gateway.log.slice(0, 4).map(({ headers }) => headers["if-none-match"]);
    expect(tags.slice(0, 2)).toEqual(["", ""]);
    expect(tags[2]).toMatch(/^"[0-9a-f]{40}"$/);
    expect(tags[3]).toMatch(/^"[0-9a-f]{40}"$/);
    expect(new Set(gateway.log.map(({ address }) => address))).toEqual(new Set(["127.0.7.1"]));
  });

  it("asks for the users only after a config that gave 200 or 304", async () => {
    await setFaults({ rules: [{ endpoint: "config", effect: { kind: "status", status: 500 } }] });
    const client = open();
    await client.start();
    await client.poll();
    expect(calls()).toEqual(["GET config 500", "GET config 500"]);
  });

  it("plays V2bX: also who is online and how the machine is", async () => {
    const client = open({ client: "v2bx" });
    await client.start();
    await client.report();
    expect(calls()).toEqual([
      ...["GET config 200", "GET user 200", "GET alivelist 200"],
      ...["POST push 200", "POST alive 200", "POST status 200"],
    ]);
  });

  it("plays a node of the newer API", async () => {
    const client = open({ client: "node" });
    await client.start();
    await client.report();
    expect(calls()).toEqual([
      ...["POST machine 200", "POST handshake 200", "GET config 200", "GET user 200", "POST report 200"],
    ]);
    expect(new Set(gateway.log.map(({ path }) => path.split("/").slice(0, 4).join("/")))).toEqual(
      new Set(["/api/v2/server"]),
    );
  });

  it("reports traffic always, every second time or never", async () => {
    for (const traffic of ["busy", "sometimes", "idle"] as const) {
      const client = open({ traffic });
      for (let turn = 0; turn < 4; turn += 1) await client.report();
      expect(ledger.total).toBe({ busy: 4, sometimes: 6, idle: 6 }[traffic]);
    }
  });

  it("keeps one HTTP/2 connection for both timers and all turns", async () => {
    const client = open();
    await Promise.all([client.poll(), client.report()]);
    await runTimers(client, { intervalMilliseconds: 20, turns: 3 });
    expect(ledger.total).toBe(3 + 3 * 3);
    expect(gateway.connections).toBe(1);
    expect(new Set(gateway.log.map(({ httpVersion }) => httpVersion))).toEqual(new Set(["2.0"]));
  });

  it("speaks HTTP/1.1 with keep-alive where it is told to", async () => {
    const client = open({ protocol: "http/1.1" });
    await client.start();
    await client.poll();
    await client.report();
    expect(calls()).toEqual([
      "GET config 200",
      "GET user 200",
      "GET config 304",
      "GET user 304",
      "POST push 200",
    ]);
    expect(gateway.connections).toBe(1);
    expect(new Set(gateway.log.map(({ httpVersion }) => httpVersion))).toEqual(new Set(["1.1"]));
  });

  it.each(["h2", "http/1.1"] as const)(
    "gives up after its time on %s: code 0 on both sides, then retries",
    async (protocol) => {
      await setFaults({ rules: [{ endpoint: "config", effect: { kind: "hang" } }] });
      const client = open({ protocol }, { patienceMilliseconds: 150, retries: 1 });
      expect(await client.call({ endpoint: "config", method: "GET" })).toBe(0);
      await sleep(50); // the gateway and the panel hear of it a little later
      expect(ledger.entries.map(({ code, finished, attempt }) => ({ code, finished, attempt }))).toEqual([
        { code: 0, finished: false, attempt: 1 },
        { code: 0, finished: false, attempt: 2 },
      ]);
      for (const { startMilliseconds, endMilliseconds } of ledger.entries) {
        expect(endMilliseconds - startMilliseconds).toBeGreaterThan(50);
        expect(endMilliseconds - startMilliseconds).toBeLessThan(600);
      }
      expect(gateway.log.map(({ code }) => code)).toEqual([0, 0]);
      expect(xboard.state.requests.requests.map(({ aborted, status }) => ({ aborted, status }))).toEqual([
        { aborted: true, status: 0 },
        { aborted: true, status: 0 },
      ]);
      expect(ledger.transportErrors).toEqual([]);
    },
  );

  it("does not retry an answer, whatever its code", async () => {
    await setFaults({ maintenance: true });
    expect(await open().call({ endpoint: "user", method: "GET" })).toBe(503);
    expect(calls()).toEqual(["GET user 503"]);
  });

  it.each(["h2", "http/1.1"] as const)(
    "counts no request where no connection was made (%s)",
    async (protocol) => {
      const { port } = gateway.target;
      await gateway.close();
      const client = open({ protocol }, { retries: 2 });
      expect(await client.call({ endpoint: "config", method: "GET" })).toBe(0);
      expect(ledger.total).toBe(0);
      expect(ledger.transportErrors.map(({ reason, attempt }) => `${reason} ${attempt}`)).toEqual([
        ...["ECONNREFUSED 1", "ECONNREFUSED 2", "ECONNREFUSED 3"],
      ]);
      gateway = await TestGateway.start(certificates, xboard.port, port);
      expect(await client.call({ endpoint: "config", method: "GET" })).toBe(200);
    },
  );

  it("opens a new connection after it lost the old one", async () => {
    const client = open();
    await client.poll();
    gateway.cut();
    await sleep(30);
    await client.poll();
    expect(calls()).toEqual(["GET config 200", "GET user 200", "GET config 304", "GET user 304"]);
    expect(gateway.connections).toBe(2);
  });

  it("counts a request that was cut off under way as code 0", async () => {
    await setFaults({ rules: [{ endpoint: "config", effect: { kind: "hang" } }] });
    const client = open({}, { retries: 0 });
    const call = client.call({ endpoint: "config", method: "GET" });
    while (gateway.connections === 0) await sleep(5);
    await sleep(50);
    gateway.cut();
    expect(await call).toBe(0);
    expect(ledger.entries.map(({ code, finished }) => ({ code, finished }))).toEqual([
      { code: 0, finished: false },
    ]);
  });

  it.each([
    ["name", { serverName: "other.example.test" }],
    ["authority", { ca: "" }],
  ])("refuses a server whose certificate does not fit: wrong %s", async (_, change) => {
    const target = { ...gateway.target, ...change };
    expect(await open({}, { target, retries: 0 }).call({ endpoint: "config", method: "GET" })).toBe(0);
    expect(ledger.total).toBe(0);
    expect(ledger.transportErrors[0]?.reason).toMatch(/CERT|ALTNAME|SELF_SIGNED|UNABLE/);
  });

  it("refuses a server without the protocol that it insists on", async () => {
    const old = createTlsServer({ key: certificates.key, cert: certificates.certificate });
    await new Promise<void>((resolve) => old.listen(0, "127.0.0.1", resolve));
    const target = { ...gateway.target, port: (old.address() as AddressInfo).port };
    await open({}, { target, retries: 0 }).call({ endpoint: "config", method: "GET" });
    expect(ledger.transportErrors.map(({ reason }) => reason)).toEqual(["the server does not offer h2"]);
    expect(ledger.total).toBe(0);
    await new Promise((resolve) => old.close(resolve));
  });

  it("needs an IPv6 target for an IPv6 address", async () => {
    await open({ localAddress: "::1" }, { retries: 0 }).call({ endpoint: "config", method: "GET" });
    expect(ledger.transportErrors[0]?.reason).toBe("the target has no IPv6 address");
  });

  it("stops waiting for a server that takes the connection and says nothing", async () => {
    const accepted: Socket[] = [];
    const mute = createTcpServer((socket) => accepted.push(socket));
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", resolve));
    const target = { ...gateway.target, port: (mute.address() as AddressInfo).port };
    await open({}, { target, retries: 0, patienceMilliseconds: 100 }).call({
      endpoint: "config",
      method: "GET",
    });
    expect(ledger.transportErrors.map(({ reason }) => reason)).toEqual(["connect timeout"]);
    expect(accepted).toHaveLength(1);
    for (const socket of accepted) socket.destroy();
    await new Promise((resolve) => mute.close(resolve));
  });

  it("keeps the token out of the ledger, whatever happens", async () => {
    await setFaults({ rules: [{ endpoint: "user", effect: { kind: "hang" } }] });
    const client = open({}, { retries: 1, patienceMilliseconds: 100 });
    await client.start();
    await client.call({ endpoint: "config", method: "GET", token: `${token}-wrong` });
    gateway.cut();
    await gateway.close();
    await client.poll();
    const text = JSON.stringify(ledger);
    expect(ledger.total).toBeGreaterThan(3);
    expect(ledger.transportErrors.length).toBeGreaterThan(0);
    expect(text).not.toContain(token);
    gateway = await TestGateway.start(certificates, xboard.port);
  });
});

describe("a forged PROXY header", () => {
  it("has the form that the specification gives", () => {
    const target = { ipv4: "198.18.0.10", ipv6: "2001:db8:ffff::10", port: 443 };
    expect(proxyHeader("203.0.113.11", target, 40_000).toString("hex")).toBe(
      "0d0a0d0a000d0a515549540a" + "21" + "11" + "000c" + "cb00710b" + "c612000a" + "9c40" + "01bb",
    );
    expect(proxyHeader("2001:db8::7", target, 1).toString("hex")).toBe(
      "0d0a0d0a000d0a515549540a" +
        "21" +
        "21" +
        "0024" +
        "20010db8000000000000000000000007" +
        "20010db8ffff00000000000000000010" +
        "0001" +
        "01bb",
    );
  });

  it("is garbage to a TLS server, and no request", async () => {
    const outcome = await forgeProxyHeader({
      ...{
        target: gateway.target,
        sender: unknownSender,
        localAddress: "127.0.7.9",
        claimedAddress: "127.0.7.1",
      },
      ...{ nodeId: "11", token, ledger },
    });
    expect(outcome).toBe("refused");
    expect(ledger.total).toBe(0);
    expect(gateway.log).toEqual([]);
    expect(ledger.forgedConnections).toEqual([
      expect.objectContaining({ from: "127.0.7.9", claimed: "127.0.7.1", outcome: "refused" }),
    ]);
  });

  it("counts for its true sender where it is taken", async () => {
    // What a gateway that takes anybody's header does: reads it, and goes on with TLS.
    const taker = createTaker(gateway.target.port);
    await new Promise<void>((resolve) => taker.listen(0, "127.0.0.1", resolve));
    const outcome = await forgeProxyHeader({
      target: { ...gateway.target, port: (taker.address() as AddressInfo).port },
      ...{
        sender: unknownSender,
        localAddress: "127.0.7.9",
        claimedAddress: "127.0.7.1",
        nodeId: "11",
        token,
        ledger,
      },
    });
    expect(outcome).toBe("accepted");
    expect(ledger.counts()).toEqual([
      { vps: "unknown", region: "unknown", endpoint: "config", method: "GET", code: "200", count: 1 },
    ]);
    await new Promise((resolve) => taker.close(resolve));
  });
});

describe("the plan", () => {
  const file = join(__dirname, "../../fleet/sandbox.yaml");

  it("plays twelve VPSes in three regions from fleet/sandbox.yaml", async () => {
    const inventory = await readInventory(file);
    const plan = planFleet(inventory);
    expect(plan.map(({ vps }) => vps)).toEqual(inventory.vps.map(({ name }) => name));
    expect(plan).toHaveLength(12);
    expect(new Set(plan.map(({ region }) => region))).toEqual(new Set(["jp", "hk", "us"]));
    const addressesOf = (name: string) =>
      plan
        .find(({ vps }) => vps === name)
        ?.nodes.map(({ nodeId, localAddress }) => `${nodeId} ${localAddress}`);
    expect(addressesOf("jp-003")).toEqual(["13 203.0.113.13", "14 2001:db8:a::13"]);
    expect(addressesOf("hk-002")).toEqual(["22 198.51.100.20"]);
    expect(addressesOf("hk-003")).toEqual(["23 198.51.100.20"]);
    expect(addressesOf("us-001")).toEqual(["31 192.0.2.33"]);
    expect(panelNodeIds(plan)).toHaveLength(15);
    const addresses = fleetAddresses(plan, inventory);
    expect(addresses).toEqual(expect.arrayContaining(["192.0.2.34", ...Object.values(outsideAddresses)]));
    expect(new Set(addresses).size).toBe(addresses.length);
  });

  it("leaves out VPSes that are not active", () => {
    const text = "vps: [{name: a, region: jp, addresses: [203.0.113.1], state: retired}]";
    expect(planFleet(parseInventory(text, "test.yaml"))).toEqual([]);
  });

  it("refuses an inventory that knows the stranger", () => {
    const text = "vps: [{name: a, region: jp, addresses: [198.51.100.0/24]}]";
    expect(() => planFleet(parseInventory(text, "test.yaml"))).toThrow(
      /test\.yaml: .*198\.51\.100\.66 \(the sandbox's stranger\)/,
    );
  });
});

describe("a fleet without an end", () => {
  it("polls until the signal, then leaves no connection", async () => {
    gateway.setInventory(parseInventory(loopbackFleet, "test.yaml"));
    const stop = new AbortController();
    const plan = [{ ...sender, nodes: [node, { ...node, nodeId: "12", protocol: "http/1.1" as const }] }];
    const run = runFleet({
      ...{ target: gateway.target, plan, token, ledger, signal: stop.signal },
      ...{ intervalMilliseconds: 60, strangers: false },
    });
    while (ledger.total < 20) await sleep(10);
    stop.abort();
    await run;
    await sleep(30);
    const counts = ledger.counts();
    expect(reconcile(counts, gateway.counts()).complete).toBe(true);
    const after = gateway.log.length;
    await sleep(150);
    expect(gateway.log.length).toBe(after);
  });
});

const loopbackFleet = "vps: [{name: jp-001, region: jp, addresses: [127.0.7.1]}]";

describe("the scenario", () => {
  /** The sandbox's fleet on loopback, IPv6 addresses replaced: what is shown is the scenario, not the network. */
  async function loopbackInventory() {
    const { vps, source } = await readInventory(join(__dirname, "../../fleet/sandbox.yaml"));
    const text = JSON.stringify({ vps: vps.map(({ ranges, ...entry }) => (void ranges, entry)) });
    return parseInventory(
      text
        .replaceAll("203.0.113.", "127.203.113.")
        .replaceAll("198.51.100.", "127.51.100.")
        .replaceAll("192.0.2.", "127.0.2.")
        .replaceAll(
          /2001:db8:([ab])::(\d+)/g,
          (_, net: string, host: string) => `127.200.${net === "a" ? 1 : 2}.${host}`,
        ),
      source,
    );
  }

  const outside = {
    ...{ stranger: "127.51.100.66", strangerIpv6: "127.200.3.66" },
    ...{ panelUser: "127.203.113.200", recreated: "127.0.2.77" },
  };

  it("covers every endpoint and code, and what it wrote down is what a gateway saw", async () => {
    await xboard.close();
    const inventory = await loopbackInventory();
    const nodeIds = panelNodeIds(planFleet(inventory, outside));
    xboard = await startXboard({ token, nodeIds, users: 20, port: 0, controlPort: 0, host: "127.0.0.1" });
    await gateway.close();
    gateway = await TestGateway.start(certificates, xboard.port);
    gateway.setInventory(inventory);
    const steps = new Set<number>();
    const faultsSet: Faults[] = [];
    await runScenario({
      ...{ target: gateway.target, inventory, token, ledger, outside, intervalMilliseconds: 100 },
      setFaults: async (faults) => {
        faultsSet.push(faults);
        xboard.state.faults = faults;
      },
      moveVps: async (name, addresses) => {
        const vps = inventory.vps.map((entry) =>
          entry.name === name ? { ...entry, addresses, ranges: addresses.map(single) } : entry,
        );
        gateway.setInventory({ ...inventory, vps });
      },
      progress: ({ step }) => steps.add(step),
    });
    expect(checkCoverage(ledger, inventory)).toEqual([]);
    expect([...steps]).toEqual([1, 2, 3, 4, 5]);
    expect(faultsSet.at(-1)).toEqual(noFaults);

    const reconciliation = reconcile(ledger.counts(), gateway.counts());
    expect(reconciliation.differences).toEqual([]);
    expect(reconciliationLine(reconciliation)).toBe(
      `reconciled: ${ledger.total} of ${ledger.total} requests, 0 lost, 0 misattributed`,
    );
    // The calls are counted in turns, so that every run makes the same ones.
    expect(ledger.total).toBe(885);

    const { requests } = xboard.state.requests;
    const latency = checkLatency(ledger.entries, requests, gateway.buckets(durationBuckets));
    expect(latency.problems).toEqual([]);
    expect(latency.pinned / latency.checked).toBeGreaterThan(0.5);

    expect(JSON.stringify(ledger)).not.toContain(token);
    expect(JSON.stringify(ledger)).not.toContain("user-token");
    expect(ledger.outOfScope.length).toBe(12);
    expect(ledger.forgedConnections).toHaveLength(3);
  }, 30_000);
});

function single(address: string) {
  const range = parseRange(address);
  if (typeof range === "string") throw new TypeError(range);
  return range;
}

function createTaker(port: number) {
  return createTcpServer((client) => {
    client.once("data", (first: Buffer) => {
      const rest = first.subarray(16 + first.readUInt16BE(14));
      const upstream = connect(port, "127.0.0.1");
      upstream.on("error", () => client.destroy());
      client.on("error", () => upstream.destroy());
      upstream.write(rest);
      client.pipe(upstream).pipe(client);
    });
  });
}
