import { startPlatform, type Platform } from "../../sandbox/platform";
import { SandboxError } from "../../sandbox/error";
import { gatewayCounters, gatewayStats } from "../../sandbox/gateway";
import type { Change, Result } from "../../sandbox/engine";
import { meshNamespace, minutes } from "./support/namespace";
import { runPreview } from "./support/preview";
import { snapshot } from "./support/snapshot";

/** The program's whole life on a real API server, by the real engine: preview, up, up again, change, destroy. */
const foreignNamespaces = ["istio-system", "airport-prod", "airport-staging", "monitoring"];

const retired = [
  "ServiceEntry airport-prod/edge-nodes",
  "WorkloadGroup airport-prod/edge-nodes-jp",
  "WorkloadEntry airport-prod/edge-jp-004",
  "ServiceAccount airport-prod/edge-vm",
];

let platform: Platform;
let before: Map<string, unknown>;

const cluster = (namespaces: readonly string[]) => snapshot(platform.controlPlane.kubeConfig, namespaces);
const summary = (changes: readonly Change[]) =>
  changes.map(({ operation, name, properties }) => [operation, name, ...properties].join(" "));
const said = ({ messages }: Result, text: string) => messages.filter((message) => message.includes(text));

beforeAll(async () => {
  platform = await startPlatform(await meshNamespace(), { deploy: false });
  before = await cluster(foreignNamespaces);
}, minutes(4));

afterAll(() => platform.stop(), minutes(1));

test(
  "every problem of the config is said at once, and nothing is registered",
  async () => {
    // In a process of its own: the SDK leaves the program's failure unhandled, which Jest takes for its own.
    const config = { proxyProtocol: { stage: "on" }, exporter: { replicas: 0 }, surprise: {} };
    const preview = await runPreview(platform, config);
    expect(preview.code).toBe(1);
    expect(preview.output).toMatch(/The config of stack sandbox has 3 problems; nothing was changed\./);
    expect(preview.output).toMatch(
      /proxyProtocol\.stage: must be one of off, accept, send, enforce; got "on"\. Set it in Pulumi\.sandbox\.yaml\./,
    );
    expect(preview.output).toMatch(/exporter\.replicas: must be an integer from 1 to 50; got 0\./);
    expect(preview.output).toMatch(/surprise: is not a known property/);
    expect(preview.output).not.toMatch(/\n\s+at /);
    platform.engine.configure({ exporter: { drainSeconds: 10 } });
  },
  minutes(1),
);

test(
  "the preview says which legacy objects will be deleted, and deletes nothing",
  async () => {
    const preview = await platform.engine.preview();
    for (const object of retired)
      expect(said(preview, `${object} (uid `)).toEqual([expect.stringContaining("WILL BE DELETED")]);
    expect(await cluster(foreignNamespaces)).toEqual(before);
  },
  minutes(1),
);

test(
  "one `up` deploys every component's objects",
  async () => {
    await platform.engine.up();
    const after = await cluster([...foreignNamespaces, "vpsight"]);
    expect([...after.keys()].filter((key) => key.includes("vpsight"))).toEqual(
      expect.arrayContaining([
        "EnvoyFilter istio-system/vpsight-access-log",
        "EnvoyFilter istio-system/vpsight-client-address",
        "EnvoyFilter istio-system/vpsight-proxy-protocol",
        "ConfigMap monitoring/vpsight-dashboard-fleet",
        "ConfigMap vpsight/vpsight-exporter-bundle",
        "ConfigMap vpsight/vpsight-exporter-inventory",
        "Service vpsight/vpsight-exporter",
        "Deployment vpsight/vpsight-exporter",
        "PodDisruptionBudget vpsight/vpsight-exporter",
        "NetworkPolicy vpsight/vpsight-exporter",
        "ServiceMonitor vpsight/vpsight-exporter",
        "ServiceMonitor vpsight/vpsight-mesh",
      ]),
    );
    expect(after.get("Service istio-system/istio-ingressgateway")).toMatchObject({
      metadata: {
        annotations: {
          "meta.helm.sh/release-name": "istio-ingressgateway",
          "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol": "*",
        },
      },
    });
  },
  minutes(2),
);

test("the legacy objects are gone, and others of the same kinds stay", async () => {
  const after = await cluster(["airport-prod", "airport-staging"]);
  for (const object of retired) {
    expect(before.has(object)).toBe(true);
    expect(after.has(object)).toBe(false);
  }
  const others = [...before.keys()].filter(
    (key) => /^(Service(Entry|Account)|Workload\w+) airport-/.test(key) && !retired.includes(key),
  );
  expect(others.length).toBeGreaterThan(4);
  for (const object of others) expect(after.get(object)).toEqual(before.get(object));
});

test("the gateway takes the configuration, and none is refused", async () => {
  const stats = await gatewayStats(platform.controlPlane.kubeConfig);
  expect(stats.get(gatewayCounters.listenersRejected)).toBe(0);
  expect(stats.has(gatewayCounters.recordsWritten)).toBe(true);
});

test(
  "a second `up` changes nothing",
  async () => {
    const result = await platform.engine.up();
    expect(summary(result.changes)).toEqual([]);
  },
  minutes(1),
);

test(
  "a one-field change is one update",
  async () => {
    platform.engine.configure({ exporter: { drainSeconds: 10, replicas: 3 } });
    expect(summary((await platform.engine.preview()).changes)).toEqual([
      "update exporter-deployment spec.replicas",
    ]);
    platform.engine.configure({ exporter: { drainSeconds: 10 } });
    platform.engine.configure({ clientAddress: { trustedHops: 1 } });
    expect(summary((await platform.engine.preview()).changes)).toEqual([
      expect.stringMatching(/^update client-address-filter spec/),
    ]);
    platform.engine.configure({ clientAddress: undefined });
  },
  minutes(1),
);

test(
  "scrape annotations take the ServiceMonitor's place, and an own image the bundle's",
  async () => {
    platform.engine.configure({ monitoring: { discovery: "annotations", scrapeInterval: "5s" } });
    const annotations = await platform.engine.preview();
    expect(summary(annotations.changes)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^update exporter-deployment/),
        "delete exporter-monitor",
        "delete rules-rules",
      ]),
    );
    platform.engine.configure({
      monitoring: { scrapeInterval: "5s" },
      exporter: { drainSeconds: 10, image: "registry.example/vpsight:1" },
    });
    const image = await platform.engine.preview();
    expect(summary(image.changes)).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^update exporter-deployment/),
        "delete exporter-bundle",
      ]),
    );
    platform.engine.configure({ exporter: { drainSeconds: 10 } });
  },
  minutes(1),
);

test(
  "an API server that is down is one clear sentence, and the next `up` goes on",
  async () => {
    await platform.controlPlane.stopPart("kube-apiserver");
    platform.engine.configure({ exporter: { drainSeconds: 10, replicas: 3 } });
    const failure = await platform.engine.up().then(
      () => "no failure",
      (error: unknown) => (error instanceof SandboxError ? error.message : String(error)),
    );
    await platform.controlPlane.startPart("kube-apiserver");
    platform.engine.configure({ exporter: { drainSeconds: 10 } });
    expect(failure).toMatch(/10\.244\.0\.1:6443/);
    expect(failure).not.toMatch(/\n\s+at /);
    expect(summary((await platform.engine.up()).changes)).toEqual([]);
  },
  minutes(2),
);

test(
  "`destroy` leaves everything as it was, but for the retired objects",
  async () => {
    await platform.engine.destroy();
    const expected = new Map([...before].filter(([key]) => !retired.includes(key)));
    expect(await cluster(foreignNamespaces)).toEqual(expected);
    expect((await cluster(["vpsight"])).size).toBe(0);
  },
  minutes(2),
);

test(
  "a cluster without the legacy objects succeeds, and says that they are gone",
  async () => {
    const result = await platform.engine.up();
    for (const object of retired)
      expect(said(result, object)).toEqual([expect.stringContaining("is already gone")]);
  },
  minutes(2),
);

test(
  "an istiod that does not start is one clear sentence",
  async () => {
    const { controlPlane } = platform;
    await controlPlane.stopPart("istiod");
    const part = process.env["VPSIGHT_PART_ISTIOD"];
    process.env["VPSIGHT_PART_ISTIOD"] = "/bin/false";
    try {
      await expect(controlPlane.startPart("istiod")).rejects.toThrow(/^istiod .*log: /s);
      await expect(controlPlane.startPart("istiod")).rejects.toBeInstanceOf(SandboxError);
    } finally {
      if (part === undefined) delete process.env["VPSIGHT_PART_ISTIOD"];
      else process.env["VPSIGHT_PART_ISTIOD"] = part;
    }
  },
  minutes(1),
);
