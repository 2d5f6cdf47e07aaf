import {
  containerEnvironment,
  ContainerConfigError,
  expand,
  type ObjectSource,
} from "../../sandbox/kubelet/environment";
import { fieldValue, parseQuantity, type PodFacts, resourceValue } from "../../sandbox/kubelet/fields";

const facts: PodFacts = {
  pod: {
    metadata: {
      name: "web-1",
      namespace: "shop",
      uid: "u-1",
      labels: { app: "web", "istio.io/rev": "default" },
      annotations: { note: 'say "hi"' },
    },
    spec: {
      serviceAccountName: "web",
      nodeName: "sandbox",
      containers: [
        { name: "web", resources: { limits: { memory: "256Mi", cpu: "1500m" }, requests: { cpu: "100m" } } },
        { name: "other", resources: { limits: { memory: "1Gi" } } },
      ],
    },
  },
  podAddress: "10.244.1.7",
  nodeAddress: "10.244.0.1",
};

const objects: ObjectSource = {
  configMap: (name) => (name === "settings" ? { data: { LEVEL: "debug", "with.dot": "x" } } : undefined),
  secret: (name) =>
    name === "keys" ? { data: { password: Buffer.from("geheim").toString("base64") } } : undefined,
};

function environment(container: Parameters<typeof containerEnvironment>[0]): Record<string, string> {
  return Object.fromEntries(
    containerEnvironment(container, { PATH: "/bin" }, { HOSTNAME: "web-1" }, facts, objects),
  );
}

describe("expansion of $(NAME)", () => {
  const variables = new Map([
    ["A", "1"],
    ["EMPTY", ""],
    ["NESTED", "$(A)"],
  ]);
  test.each([
    ["$(A)-$(A)", "1-1"],
    ["$(EMPTY)", ""],
    ["$(MISSING)", "$(MISSING)"],
    ["$$(A)", "$(A)"],
    ["$$$(A)", "$1"],
    ["$A ${A} $", "$A ${A} $"],
    ["$(A", "$(A"],
    // A value is not expanded a second time.
    ["$(NESTED)", "$(A)"],
  ])("%s becomes %s", (text, expected) => {
    expect(expand(text, variables)).toBe(expected);
  });
});

describe("a container's environment", () => {
  test("the later source wins: image, kubelet, envFrom, env", () => {
    expect(
      environment({
        name: "web",
        envFrom: [{ configMapRef: { name: "settings" } }, { secretRef: { name: "keys" }, prefix: "S_" }],
        env: [
          { name: "LEVEL", value: "info" },
          { name: "PATH", value: "$(PATH):/opt" },
          { name: "LINE", value: "$(LEVEL) $(S_password) $(LATER)" },
          { name: "LATER", value: "x" },
        ],
      }),
    ).toEqual({
      PATH: "/bin:/opt",
      HOSTNAME: "web-1",
      LEVEL: "info",
      "with.dot": "x",
      S_password: "geheim",
      LINE: "info geheim $(LATER)",
      LATER: "x",
    });
  });

  test("values from fields, resources, ConfigMaps and Secrets", () => {
    const from = (name: string, valueFrom: object) => ({ name, valueFrom });
    expect(
      environment({
        name: "web",
        resources: { limits: { memory: "256Mi" } },
        env: [
          from("IP", { fieldRef: { fieldPath: "status.podIP" } }),
          from("LABEL", { fieldRef: { fieldPath: "metadata.labels['istio.io/rev']" } }),
          from("MEMORY", { resourceFieldRef: { resource: "limits.memory", divisor: "1Mi" } }),
          from("LEVEL", { configMapKeyRef: { name: "settings", key: "LEVEL" } }),
          from("PASSWORD", { secretKeyRef: { name: "keys", key: "password" } }),
          from("ABSENT", { secretKeyRef: { name: "keys", key: "none", optional: true } }),
        ],
      }),
    ).toEqual({
      PATH: "/bin",
      HOSTNAME: "web-1",
      IP: "10.244.1.7",
      LABEL: "default",
      MEMORY: "256",
      LEVEL: "debug",
      PASSWORD: "geheim",
    });
  });

  test.each([
    [{ envFrom: [{ configMapRef: { name: "gone" } }] }, 'configmap "gone" not found'],
    [{ envFrom: [{ secretRef: { name: "gone" } }] }, 'secret "gone" not found'],
    [
      { env: [{ name: "X", valueFrom: { configMapKeyRef: { name: "settings", key: "NONE" } } }] },
      'couldn\'t find key NONE in configmap "settings"',
    ],
    [{ env: [{ name: "X", valueFrom: { fieldRef: { fieldPath: "status.phase" } } }] }, "status.phase"],
  ])("what is missing keeps the container from starting: %j", (part, message) => {
    expect(() => environment({ name: "web", ...part })).toThrow(ContainerConfigError);
    expect(() => environment({ name: "web", ...part })).toThrow(message);
  });

  test("optional sources may be missing", () => {
    const optional = { name: "gone", optional: true };
    expect(
      environment({ name: "web", envFrom: [{ configMapRef: optional }, { secretRef: optional }] }),
    ).toEqual({
      PATH: "/bin",
      HOSTNAME: "web-1",
    });
  });
});

describe("the downward API", () => {
  test.each([
    ["metadata.name", "web-1"],
    ["metadata.namespace", "shop"],
    ["metadata.uid", "u-1"],
    ["metadata.labels", 'app="web"\nistio.io/rev="default"'],
    ["metadata.annotations", 'note="say \\"hi\\""'],
    ["metadata.annotations['note']", 'say "hi"'],
    ["metadata.labels['none']", ""],
    ["spec.serviceAccountName", "web"],
    ["spec.nodeName", "sandbox"],
    ["status.hostIP", "10.244.0.1"],
    ["status.phase", undefined],
  ])("%s is %j", (path, expected) => {
    expect(fieldValue(path, facts)).toBe(expected);
  });

  test.each([
    [{ containerName: "web", resource: "limits.cpu" }, "2"],
    [{ containerName: "web", resource: "limits.cpu", divisor: "1m" }, "1500"],
    [{ containerName: "web", resource: "requests.cpu", divisor: "1m" }, "100"],
    // Without a limit it is the node's; without a request, the limit.
    [{ containerName: "other", resource: "limits.cpu" }, "16"],
    [{ containerName: "other", resource: "requests.memory", divisor: "1Mi" }, "1024"],
    [{ containerName: "other", resource: "requests.cpu" }, "0"],
  ])("%j is %s", (selector, expected) => {
    expect(resourceValue(selector, facts)).toBe(expected);
  });

  test.each([
    ["100m", 0.1],
    ["64Mi", 67_108_864],
    ["1k", 1000],
    ["2", 2],
    ["1e3", 1000],
    ["1E", 1e18],
    ["bad", Number.NaN],
    ["1Xi", Number.NaN],
  ])("quantity %s is %d", (quantity, expected) => {
    expect(parseQuantity(quantity)).toBe(expected);
  });
});
