import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { parse } from "yaml";
import { readFileSync } from "node:fs";
import { ConfigError, parseConfig } from "../config";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(tmpdir(), "vpsight-config-"));
  mkdirSync(path.join(directory, "fleet"));
  writeFileSync(
    path.join(directory, "fleet/test.yaml"),
    'vps: [{ name: jp-001, region: jp, addresses: ["203.0.113.1"] }]',
  );
});

afterEach(() => rmSync(directory, { recursive: true }));

/** Structured config arrives as JSON text, one value a key. */
function source(document: Record<string, unknown>, foreign: Record<string, string> = {}) {
  const own = Object.entries(document).map(([key, value]) => [`vpsight:${key}`, JSON.stringify(value)]);
  return {
    values: { ...foreign, ...Object.fromEntries(own) } as Record<string, string>,
    isSecret: (key: string) => key === "vpsight:fleet",
    project: "vpsight",
    stack: "test",
    directory,
  };
}

const fleet = { file: "fleet/test.yaml" };

function problems(document: Record<string, unknown>): readonly string[] {
  try {
    parseConfig(source(document));
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

test("only the inventory is required; everything else has a default", () => {
  const config = parseConfig(source({ fleet }));
  expect(config).toMatchObject({
    namespace: { name: "vpsight", create: true },
    gateway: {
      namespace: "istio-system",
      service: "istio-ingressgateway",
      selector: { istio: "ingressgateway" },
    },
    proxyProtocol: { stage: "off", loadBalancer: "controller" },
    clientAddress: { trustedHops: 0, clientForwardedFor: "remove" },
    exporter: { replicas: 2, drainSeconds: 35, statusAddresses: true },
    monitoring: {
      discovery: "serviceMonitor",
      labels: { release: "kube-prometheus-stack" },
      scrapeInterval: "15s",
    },
    retired: [],
    fleet: { file: "fleet/test.yaml", size: 1 },
  });
  expect(config.fleet.text).toContain("jp-001");
  expect(config.exporter.image).toBeUndefined();
});

test("an error says the property, the value, what is allowed and where to fix it", () => {
  expect(problems({ fleet, clientAddress: { trustedHops: -1 } })).toEqual([
    "clientAddress.trustedHops: must be an integer from 0 to 10; got -1. Set it in Pulumi.test.yaml.",
  ]);
});

test("every problem is reported at once, the inventory's among them", () => {
  writeFileSync(
    path.join(directory, "fleet/test.yaml"),
    'vps: [{ name: JP, region: jp, addresses: ["999.1.1.1"] }]',
  );
  const found = problems({
    fleet,
    proxyProtocol: { stage: "on" },
    exporter: { replicas: "two", resources: { memoryLimit: "lots" } },
    retired: [{ kind: "Pod", namespace: "airport-prod", name: "x" }],
  });
  expect(found).toHaveLength(6);
  expect(found.join("\n")).toMatch(
    /proxyProtocol\.stage: must be one of off, accept, send, enforce; got "on"/,
  );
  expect(found.join("\n")).toMatch(/exporter\.replicas: must be an integer from 1 to 50; got "two"/);
  expect(found.join("\n")).toMatch(/exporter\.resources\.memoryLimit: must be a memory quantity/);
  expect(found.join("\n")).toMatch(/retired\[0\]\.kind: must be one of ServiceEntry, /);
  expect(found.join("\n")).toMatch(/fleet\/test\.yaml: vps\[0\] "JP" name: must be a DNS label/);
  expect(found.join("\n")).toMatch(/addresses\[0\].*999\.1\.1\.1/);
});

test("an unknown key is an error at every level, with the known ones listed", () => {
  const found = problems({ fleet, proxyProtokoll: {}, gateway: { name: "x" } });
  expect(found).toEqual([
    expect.stringMatching(
      /^gateway\.name: is not a known property; known here: namespace, service, selector\. Set it/,
    ),
    expect.stringMatching(
      /^proxyProtokoll: is not a known property; known here: cluster, namespace, gateway, /,
    ),
  ]);
});

test("an ending exporter must stay for one scrape more", () => {
  expect(problems({ fleet, monitoring: { scrapeInterval: "1m" } })).toEqual([
    "exporter.drainSeconds: must be at least 70 with monitoring.scrapeInterval 1m, so that Prometheus reads an ending pod " +
      "once more; got 35. Set it in Pulumi.test.yaml.",
  ]);
  expect(problems({ fleet, monitoring: { scrapeInterval: "1m" }, exporter: { drainSeconds: 70 } })).toEqual(
    [],
  );
});

test("each mode of access has its own properties, with the mistakes of all of them said", () => {
  const access = (value: unknown) => problems({ fleet, exporter: { access: value } });
  const fix = "Set it in Pulumi.test.yaml.";
  expect(parseConfig(source({ fleet })).exporter.access).toEqual({ mode: "network" });
  const mesh = { mode: "mesh", gatewayServiceAccount: "istio-ingressgateway" };
  expect(parseConfig(source({ fleet, exporter: { access: mesh } })).exporter.access).toEqual({
    ...mesh,
    trustDomain: "cluster.local",
    controlPlaneNamespace: "istio-system",
    istioCni: false,
  });
  expect(access({ mode: "mtls" })).toEqual([
    `exporter.access.mode: must be one of network, mesh, tls; got "mtls". ${fix}`,
  ]);
  expect(access({})).toEqual([
    `exporter.access.mode: must be one of network, mesh, tls; got nothing. ${fix}`,
  ]);
  expect(access("mesh")).toEqual([`exporter.access: must be a map; got "mesh". ${fix}`]);
  expect(access({ mode: "mesh", trustDomain: "a/b" })).toEqual([
    `exporter.access.gatewayServiceAccount: must be a DNS label such as vpsight; got nothing. ${fix}`,
    `exporter.access.trustDomain: must be a name without slashes, stars and spaces; got "a/b". ${fix}`,
  ]);
  expect(
    access({ mode: "tls", secret: "a", gatewaySecret: "b", clientNames: ["a,b"], trustDomain: "x" }),
  ).toEqual([
    `exporter.access.clientNames[0]: must be a DNS name or a URI such as spiffe://…, without commas; got "a,b". ${fix}`,
    `exporter.access.trustDomain: is not a known property; known here: mode, secret, gatewaySecret, clientNames. ${fix}`,
  ]);
});

test("the in-tree load balancer is refused with the reason", () => {
  const [problem] = problems({ fleet, proxyProtocol: { loadBalancer: "in-tree" } });
  expect(problem).toMatch(
    /^proxyProtocol\.loadBalancer: must be controller: the in-tree load balancer ignores .*; got "in-tree"/,
  );
});

test("a missing inventory is named with the property that points at it", () => {
  expect(problems({ fleet: { file: "fleet/none.yaml" } })).toEqual([
    'fleet.file: must be a readable file; got "fleet/none.yaml" (ENOENT). Set it in Pulumi.test.yaml.',
  ]);
  expect(problems({})).toEqual(["fleet: must be a map; got nothing. Set it in Pulumi.test.yaml."]);
});

describe("the management plane's inventory", () => {
  const url = "https://plane.example/fleet?key=s3cr3t-query";

  test("can stand in for the file, or beside it", () => {
    const alone = parseConfig(source({ fleet: { http: { url } } }));
    expect(alone.fleet).toMatchObject({
      text: undefined,
      size: 0,
      http: { url, allowHttp: false, intervalSeconds: 30 },
    });
    const both = parseConfig(source({ fleet: { ...fleet, http: { url, tokenSecret: { name: "plane" } } } }));
    expect(both.fleet).toMatchObject({ size: 1, http: { tokenSecret: { name: "plane", key: "token" } } });
  });

  test("one of both must be there", () => {
    expect(problems({ fleet: {} })).toEqual([
      "fleet: must be a map with file, http or both; got an object. Set it in Pulumi.test.yaml.",
    ]);
  });

  test("the authorities' file is read and must hold certificates", () => {
    expect(problems({ fleet: { http: { url, caFile: "fleet/none.pem" } } })).toEqual([
      'fleet.http.caFile: must be a readable file; got "fleet/none.pem" (ENOENT). Set it in Pulumi.test.yaml.',
    ]);
    expect(problems({ fleet: { http: { url, caFile: "fleet/test.yaml" } } })).toEqual([
      "fleet.http.caFile: must hold certificates in PEM; got none. Set it in Pulumi.test.yaml.",
    ]);
    writeFileSync(path.join(directory, "ca.pem"), "-----BEGIN CERTIFICATE-----");
    const config = parseConfig(source({ fleet: { http: { url, caFile: "ca.pem" } } }));
    expect(config.fleet.authorities).toBe("-----BEGIN CERTIFICATE-----");
  });

  test("errors show neither the URL nor the token", () => {
    const found = problems({
      fleet: {
        http: { url: "http://user:s3cr3t@plane.example/", token: "s3cr3t with spaces", intervalSeconds: 1 },
      },
    }).join("\n");
    expect(found).toMatch(
      /^fleet\.http\.token: must be a secret of 8 to 4096 .*; got a value that is not shown here\./m,
    );
    expect(found).toMatch(/^fleet\.http\.intervalSeconds: must be an integer from 5 to 3600; got 1\./m);
    expect(found).not.toContain("s3cr3t");
    const userinfo = problems({ fleet: { http: { url: "https://user:s3cr3t@plane.example/" } } });
    expect(userinfo).toEqual([
      "fleet.http.url: must be a URL without user and password; got a value that is not shown here. Set it in Pulumi.test.yaml.",
    ]);
  });

  test.each([
    [
      "http://plane.example/fleet",
      {},
      /^fleet\.http\.url: must be an https URL, unless plain http is allowed/,
    ],
    ["ftp://plane.example/fleet", { allowHttp: true }, /^fleet\.http\.url: must be an https URL;/],
    ["plane", {}, /^fleet\.http\.url: must be an https URL;/],
    [
      url,
      { token: "s3cr3t-token", tokenSecret: { name: "a" } },
      /^fleet\.http\.tokenSecret: must be left out when/,
    ],
  ])("%s with %j is refused", (address, more, problem) => {
    const found = problems({ fleet: { http: { url: address, ...more } } });
    expect(found).toEqual([expect.stringMatching(problem)]);
  });

  test("a token in plain text is refused, since the engine would write it down", () => {
    const config = source({ fleet: { http: { url, token: "s3cr3t-token" } } });
    expect(parseConfig(config).fleet.http?.token).toBe("s3cr3t-token");
    expect(() => parseConfig({ ...config, isSecret: () => false })).toThrow(
      /fleet\.http\.token: must be a secret; got plain text\. Set it with `pulumi config set --path .* --secret`\.$/,
    );
  });

  test("plain http is taken when that is said", () => {
    expect(problems({ fleet: { http: { url: "http://plane.example/", allowHttp: true } } })).toEqual([]);
  });
});

test("a value that is not structured is refused, other namespaces' keys are not ours to judge", () => {
  const values = { "vpsight:gateway": "istio-system", "aws:region": "ap-northeast-1" };
  expect(() =>
    parseConfig({ ...source({ fleet }), values: { ...source({ fleet }).values, ...values } }),
  ).toThrow(/gateway: must be a map or a list; got "istio-system"/);
});

test.each(["prod", "sandbox"])(
  "the %s stack's own config is valid, and Pulumi.yaml describes each key",
  (stack) => {
    const root = path.join(__dirname, "..");
    const read = (file: string) =>
      parse(readFileSync(path.join(root, file), "utf8")) as { config: Record<string, unknown> };
    const values = Object.entries(read(`Pulumi.${stack}.yaml`).config).map(([key, value]) => [
      key,
      JSON.stringify(value),
    ]);
    const config = parseConfig({
      values: Object.fromEntries(values) as Record<string, string>,
      isSecret: () => false,
      project: "vpsight",
      stack,
      directory: root,
    });
    expect(config.fleet.size).toBeGreaterThan(0);
    expect(Object.keys(read("Pulumi.yaml").config).sort()).toEqual(Object.keys(config).sort());
  },
);

describe("Kiali", () => {
  const retired = [
    { kind: "WorkloadEntry", namespace: "edge-nodes", name: "jp-001" },
    { kind: "ServiceAccount", namespace: "edge-nodes", name: "jp-001" },
    { kind: "WorkloadGroup", namespace: "airport-prod", name: "jp-001" },
    { kind: "WorkloadGroup", namespace: "edge-nodes", name: "jp-001" },
  ];

  test("objects that are made and retired at once are refused, each by name", () => {
    expect(problems({ fleet, kiali: { workloads: true }, retired })).toEqual([
      "retired[0]: must be an object that kiali.workloads does not make; got WorkloadEntry edge-nodes/jp-001. Set it in Pulumi.test.yaml.",
      "retired[3]: must be an object that kiali.workloads does not make; got WorkloadGroup edge-nodes/jp-001. Set it in Pulumi.test.yaml.",
    ]);
    expect(problems({ fleet, retired })).toEqual([]);
    expect(problems({ fleet, kiali: { workloads: true, enabled: false }, retired })).toEqual([]);
  });

  test("its namespace must be nobody else's, and no label may be empty or one of Istio's own", () => {
    expect(problems({ fleet, namespace: { name: "edge" }, kiali: { namespace: "edge" } })).toEqual([
      'kiali.namespace: must be an empty namespace of its own; got "edge", which namespace.name names. Set it in Pulumi.test.yaml.',
    ]);
    expect(
      problems({ fleet, kiali: { cluster: "", gateway: { workload: "" }, queryScope: { reporter: "x" } } }),
    ).toEqual([
      expect.stringMatching(/^kiali\.cluster: must be a label's value, not empty; got ""/),
      expect.stringMatching(/^kiali\.gateway\.workload: must be a label's value, not empty/),
      expect.stringMatching(/^kiali\.queryScope\.reporter: must be a/),
    ]);
  });
});
