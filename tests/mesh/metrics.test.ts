import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { dashboardModels } from "../../dashboards";
import { defaultSettings } from "../../dashboards/defaults";
import { ruleGroups } from "../../rules";
import { recorded } from "../../rules/recorded";
import { waitFor } from "../../sandbox/cluster";
import { checkCoverage, forgeProxyHeader, NodeClient, runScenario } from "../../sandbox/fleet";
import { gatewayCounters, gatewayReports, gatewayStats } from "../../sandbox/gateway";
import {
  checkLatency,
  describeLatencyProblem,
  differenceTable,
  Ledger,
  waitForCounts,
  type Reconciliation,
} from "../../sandbox/ledger";
import { inventoryEntries, scrape, startPlatform, type Platform } from "../../sandbox/platform";
import type { SeenRequest } from "../../sandbox/xboard";
import { panelsOf } from "../support/dashboards";
import { captureOtlp } from "./support/capture";
import { meshNamespace, minutes } from "./support/namespace";
import { startPlane } from "./support/plane";
import { podLogs, podsOf } from "./support/pods";
import { settings } from "./support/promtool";

/** From a VPS's poll to its own metric: the whole path, by the fixed scenario, in stage enforce. */
let platform: Platform;
let ledger: Ledger;
let result: Reconciliation;
let seen: readonly SeenRequest[];
let otlp: Buffer;

beforeAll(async () => {
  platform = await startPlatform(await meshNamespace());
  const { target, inventory, token, xboard, prometheus, moveVps } = platform;
  const capture = await captureOtlp(platform);
  ledger = await runScenario({
    target,
    inventory,
    token,
    moveVps,
    setFaults: (faults) => xboard.setFaults(faults),
  });
  result = await waitForCounts(ledger.counts(), () => prometheus.requestCounts());
  seen = (await xboard.requests()).requests;
  otlp = await capture.stop();
}, minutes(5));

afterAll(() => platform.stop(), minutes(1));

test("the scenario met every endpoint and every fault mode", () => {
  expect(platform.inventory.vps).toHaveLength(12);
  expect(new Set(platform.inventory.vps.map(({ region }) => region)).size).toBe(3);
  expect(checkCoverage(ledger, platform.inventory)).toEqual([]);
});

test("per VPS, region, endpoint, method and code Prometheus holds exactly the ledger's counts", () => {
  expect(differenceTable(result)).toBe("");
  expect(result).toMatchObject({ matched: ledger.total, lost: 0, misattributed: 0 });
  expect(ledger.total).toBeGreaterThan(500);
});

test("the latency buckets lie between what the panel and what the VPS measured", async () => {
  const latency = checkLatency(ledger.entries, seen, await platform.prometheus.bucketCounts());
  expect(latency.problems.map(describeLatencyProblem)).toEqual([]);
  expect(latency.pinned).toBeGreaterThan(latency.checked / 4);
});

test("every known VPS counted from 0, so its first poll is in the rates", async () => {
  const samples = await platform.prometheus.query("min by (vps) (min_over_time(vps_requests_total[10m]))");
  expect(samples.map(({ labels }) => labels["vps"]).sort()).toEqual(
    [...platform.inventory.vps.map(({ name }) => name), "unknown"].sort(),
  );
  expect(samples.map(({ value }) => value)).toEqual(samples.map(() => 0));
});

test("the application sees exactly one client address, the true one, whatever the client claims", () => {
  const claimed = seen.flatMap(({ forwardedFor }) => forwardedFor ?? []);
  expect(claimed.length).toBeGreaterThan(500);
  expect(claimed.filter((value) => value.includes(","))).toEqual([]);
  // Node 33 belongs to one VPS, and somebody called as it with another VPS's address in X-Forwarded-For.
  const honest = platform.plan.flatMap(({ nodes }) => nodes).find(({ nodeId }) => nodeId === "33");
  const asNode33 = seen.filter(({ nodeId }) => nodeId === "33").map(({ forwardedFor }) => forwardedFor);
  expect(new Set(asNode33)).toEqual(new Set([honest?.localAddress]));
});

const everySeries = encodeURIComponent('{__name__=~".+"}');

test("the token is in no log, batch, metric or state", async () => {
  const { token, exporters, engine, prometheusUrl, controlPlane } = platform;
  const texts = {
    "gateway stdout": podLogs(controlPlane, await podsOf(controlPlane, "istio-system")),
    "exporter stdout": podLogs(controlPlane, await podsOf(controlPlane, "vpsight")),
    "OTLP batches": otlp.toString("latin1"),
    "exporter metrics": (await Promise.all((await exporters()).map(scrape))).join("\n"),
    "Prometheus labels": await (await fetch(`${prometheusUrl}/api/v1/series?match[]=${everySeries}`)).text(),
    "Pulumi state": await engine.state(),
    ledger: JSON.stringify(ledger),
  };
  // Each is really there and holds what it should: an empty text would hold no token either.
  expect(texts["gateway stdout"]).toContain('"path":"/api/v1/server/UniProxy/config"');
  expect(texts["exporter stdout"]).toContain("inventory in force");
  expect(texts["OTLP batches"]).toContain("/api/v1/server/UniProxy/config");
  expect(texts["exporter metrics"]).toContain('vps="jp-001"');
  expect(texts["Prometheus labels"]).toContain("jp-001");
  expect(texts["Pulumi state"]).toContain("vpsight-access-log");
  for (const [where, text] of Object.entries(texts)) {
    expect({ where, found: text.includes(token) }).toEqual({ where, found: false });
  }
});

test("panel users leave no trace", () => {
  expect(ledger.outOfScope.length).toBeGreaterThan(0);
  expect(otlp.toString("latin1")).not.toContain("/api/v1/client/subscribe");
});

test(
  "Prometheus takes every rule from the operator, evaluates it without an error, and records the whole fleet",
  async () => {
    const { inventory, prometheus, prometheusUrl } = platform;
    const wanted = ruleGroups(settings).flatMap(({ rules = [] }) =>
      rules.map(({ alert, record }) => alert ?? record),
    );
    const rules = await waitFor("the first evaluation of all rules", 120_000, async () => {
      const found = await evaluatedRules(prometheusUrl);
      const waiting = found.length < wanted.length || found.some(({ health }) => health === "unknown");
      return waiting ? undefined : found;
    });
    expect(rules.filter(({ health }) => health !== "ok")).toEqual([]);
    expect(rules.map(({ name }) => name).sort()).toEqual(wanted.sort());
    const names = async (series: string) =>
      (await prometheus.query(series)).map(({ labels }) => labels["vps"]).sort();
    const everybody = inventory.vps.map(({ name }) => name).sort();
    expect(await names(recorded.vps.requests)).toEqual(everybody);
    expect(await names(recorded.vps.active)).toEqual(everybody);
    const [total] = await prometheus.query(recorded.fleet.total);
    expect(total?.value).toBe(everybody.length);
  },
  minutes(3),
);

interface EvaluatedRule {
  name: string;
  health: string;
  lastError?: string;
}

async function evaluatedRules(url: string): Promise<EvaluatedRule[]> {
  const answer = (await (await fetch(`${url}/api/v1/rules`)).json()) as {
    data: { groups: { rules: EvaluatedRule[] }[] };
  };
  return answer.data.groups.flatMap(({ rules }) => rules);
}

test(
  "every query of every dashboard gives data",
  async () => {
    const queries = Object.entries(dashboardModels(defaultSettings)).flatMap(([dashboard, model]) =>
      panelsOf(model).flatMap(({ title, targets }) =>
        targets.map(({ expr }) => ({ dashboard, title, expression: expr })),
      ),
    );
    expect(queries.length).toBeGreaterThan(60);
    // Averages over recorded series come one evaluation after these.
    const empty = await waitFor("the first values of everything that is recorded", 90_000, async () => {
      const found = await emptyQueries(queries);
      return found.length === 0 ? found : undefined;
    }).catch(() => emptyQueries(queries));
    expect(empty).toEqual([]);
  },
  minutes(3),
);

interface DashboardQuery {
  dashboard: string;
  title: string;
  expression: string;
}

/** The queries that have no answer, with everything selected in each variable. */
async function emptyQueries(queries: readonly DashboardQuery[]): Promise<DashboardQuery[]> {
  const answers = await Promise.all(
    queries.map(async (query) => {
      const expression = query.expression
        .replaceAll(/\$(region|vps|endpoint)\b/g, ".*")
        .replaceAll("$__rate_interval", "1m")
        .replaceAll("$__range", "10m");
      return { query, samples: await platform.prometheus.query(expression) };
    }),
  );
  return answers.filter(({ samples }) => samples.length === 0).map(({ query }) => query);
}

test(
  "a forged PROXY header changes nothing in stage send either",
  async () => {
    const { engine, controlPlane, target, token, plan, prometheus } = platform;
    const before = (await gatewayStats(controlPlane.kubeConfig)).get(gatewayCounters.listenersAccepted) ?? 0;
    engine.configure({ proxyProtocol: { stage: "send" } });
    await engine.up();
    await gatewayReports(controlPlane.kubeConfig, "a changed listener", (stats) => {
      return (stats.get(gatewayCounters.listenersAccepted) ?? 0) > before;
    });
    const [victim, forger] = plan;
    const claimedAddress = victim?.nodes[0]?.localAddress ?? "";
    const localAddress = forger?.nodes[0]?.localAddress ?? "";
    const sender = { vps: forger?.vps ?? "", region: forger?.region ?? "" };
    await forgeProxyHeader({ target, sender, localAddress, claimedAddress, nodeId: "11", token, ledger });
    expect(ledger.forgedConnections.at(-1)?.outcome).toBe("refused");
    expect(await waitForCounts(ledger.counts(), () => prometheus.requestCounts())).toMatchObject({
      complete: true,
    });
  },
  minutes(2),
);

test(
  "a VPS that is added, moved or removed is right within 10 s of `pulumi up`, without a restart",
  async () => {
    const { controlPlane, deployInventory, exporters, inventory } = platform;
    const restarts = async () =>
      (await podsOf(controlPlane, "vpsight")).map(({ metadata, status }) => [
        metadata?.uid,
        status?.containerStatuses?.[0]?.restartCount,
      ]);
    const before = await restarts();
    const known = inventoryEntries(inventory);
    const texts = async () => Promise.all((await exporters()).map(scrape));
    const within10Seconds = async (check: (text: string) => boolean) => {
      const deadline = Date.now() + 10_000;
      while (Date.now() < deadline) {
        if ((await texts()).every(check)) return true;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      return false;
    };
    const added = { name: "jp-099", region: "jp", addresses: ["203.0.113.99"] };
    await deployInventory([...known, added]);
    expect(await within10Seconds((text) => text.includes('vps="jp-099",region="jp"'))).toBe(true);
    await deployInventory([...known, { ...added, region: "hk" }]);
    expect(
      await within10Seconds(
        (text) => text.includes('vps="jp-099",region="hk"') && !text.includes('vps="jp-099",region="jp"'),
      ),
    ).toBe(true);
    await deployInventory(known);
    expect(await within10Seconds((text) => !text.includes("jp-099"))).toBe(true);
    expect(await restarts()).toEqual(before);
  },
  minutes(2),
);

test(
  "a VPS that only the management plane knows is counted by its name, and the plane's token is nowhere in clear",
  async () => {
    const { controlPlane, engine, exporters, inventory, plan, target, token } = platform;
    const [first, ...others] = inventoryEntries(inventory);
    const [caller] = plan;
    const [node] = caller?.nodes ?? [];
    if (first === undefined || caller === undefined || node === undefined) throw new Error("no fleet");
    expect(caller.vps).toBe(first.name);
    const planeToken = "s3cr3t-token-of-the-plane";
    const plane = await startPlane(planeToken, { vps: [{ ...first, name: "plane-001" }] });
    const file = path.join(mkdtempSync(path.join(tmpdir(), "fleet-")), "fleet.yaml");
    writeFileSync(file, JSON.stringify({ vps: others }));
    engine.configure({
      fleet: { file, http: { url: plane.url, allowHttp: true, intervalSeconds: 5 } },
    });
    await engine.configureSecret("fleet.http.token", planeToken);
    const { messages } = await engine.up();
    const texts = async () => Promise.all((await exporters()).map(scrape));
    const counted = new RegExp(`^vps_requests_total{vps="plane-001",.*endpoint="config".*} [1-9]`, "m");
    const client = new NodeClient({ sender: caller, node, target, token, ledger: new Ledger() });
    try {
      await waitFor("every exporter knows plane-001", 60_000, async () =>
        (await texts()).every((text) => text.includes('vps="plane-001"')) ? true : undefined,
      );
      await client.call({ endpoint: "config", method: "GET" });
      await waitFor("a request of plane-001", 30_000, async () =>
        (await texts()).some((text) => counted.test(text)) ? true : undefined,
      );
      expect((await texts()).join()).not.toContain(`vps="${first.name}"`);
    } finally {
      await client.close();
      await plane.stop();
    }
    const logs = podLogs(controlPlane, await podsOf(controlPlane, "vpsight"));
    expect(logs).toContain(plane.url);
    const state = engine.storedState();
    expect(state).toContain("vpsight-exporter-inventory-token");
    for (const text of [state, messages.join(), logs, (await texts()).join()]) {
      expect(text).not.toContain(planeToken);
      expect(text).not.toContain(Buffer.from(planeToken).toString("base64"));
    }
    // It is the token that is encrypted there, and not something else.
    expect(await engine.state()).toContain(planeToken);
  },
  minutes(3),
);
