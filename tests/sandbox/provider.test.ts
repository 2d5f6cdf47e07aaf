import { adoptManagedFields, forced } from "../../sandbox/provider/apply";
import { fieldManagerOf, readCheckpoint, writeCheckpoint } from "../../sandbox/provider/checkpoint";
import { compareObjects, formatPath, pruneLive } from "../../sandbox/provider/difference";
import { identity, isBuiltIn, nameInUrn, parseObjectId, resourceType } from "../../sandbox/provider/objects";
import { retryMissing, timeoutOf } from "../../sandbox/provider/outcome";
import { ApiError } from "../../sandbox/provider/api";
import { podReasons, rolloutStep } from "../../sandbox/provider/readiness";
import {
  containsSecret,
  containsUnknown,
  fromStruct,
  hideLike,
  makeSecret,
  revealSecrets,
  toStruct,
  type Properties,
} from "../../sandbox/provider/values";

const unknown = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";
const urn = (token: string, name = "x") =>
  `urn:pulumi:sandbox::vpsight::vpsight:index:VpsExporter$${token}::${name}`;

describe("a resource's type", () => {
  test.each([
    ["kubernetes:core/v1:Service", "v1", "Service", false],
    ["kubernetes:core/v1:ServicePatch", "v1", "Service", true],
    ["kubernetes:apps/v1:DeploymentPatch", "apps/v1", "Deployment", true],
    ["kubernetes:networking.k8s.io/v1:NetworkPolicy", "networking.k8s.io/v1", "NetworkPolicy", false],
    [
      "kubernetes:networking.istio.io/v1alpha3:EnvoyFilter",
      "networking.istio.io/v1alpha3",
      "EnvoyFilter",
      false,
    ],
  ])("%s is %s %s", (token, apiVersion, kind, patch) => {
    expect(resourceType(urn(token), kind)).toEqual({ apiVersion, kind, patch });
  });

  test("a kind of its own that ends in Patch is none", () => {
    const token = "kubernetes:example.com/v1:SecurityPatch";
    expect(resourceType(urn(token), "SecurityPatch")).toMatchObject({ kind: "SecurityPatch", patch: false });
  });

  test("another package is refused", () => {
    expect(() => resourceType(urn("aws:ec2/instance:Instance"))).toThrow('"aws:ec2/instance:Instance"');
  });

  test("names may hold what separates them", () => {
    expect(nameInUrn(urn("kubernetes:core/v1:Service", "a::b"))).toBe("a::b");
    expect(parseObjectId("prod/gateway")).toEqual({ namespace: "prod", name: "gateway" });
    expect(parseObjectId("gateway")).toEqual({ namespace: "", name: "gateway" });
  });

  test("Kubernetes' own kinds are told from custom ones", () => {
    const groups = ["v1", "apps/v1", "networking.k8s.io/v1", "rbac.authorization.k8s.io/v1"];
    expect(groups.map(isBuiltIn)).toEqual([true, true, true, true]);
    const custom = ["networking.istio.io/v1", "monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"];
    expect(custom.map(isBuiltIn)).toEqual([false, false, false]);
  });
});

describe("comparing", () => {
  const configMap = (data: Properties, extra: Properties = {}): Properties => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "settings", namespace: "prod" },
    data,
    ...extra,
  });
  const options = { patch: false, configMapMutable: true, secretMutable: false };
  const paths = (old: Properties, wanted: Properties, given = options) =>
    compareObjects(old, wanted, given).changes.map((change) => `${change.kind} ${formatPath(change.path)}`);

  test("finds each leaf, with its path as the engine writes it", () => {
    const old = configMap({ same: "1", "a.json": "x", gone: "y", list: [1, { deep: true }, 3] });
    const wanted = configMap({ same: "1", "a.json": "z", fresh: { b: 1 }, list: [1, { deep: false }] });
    expect(paths(old, wanted)).toEqual([
      'update data["a.json"]',
      "delete data.gone",
      "update data.list[1].deep",
      "delete data.list[2]",
      "add data.fresh",
    ]);
    expect(paths(wanted, wanted)).toEqual([]);
  });

  test("takes what is not known yet for changed", () => {
    expect(paths(configMap({ a: "1" }), configMap({ a: unknown }))).toEqual(["update data.a"]);
  });

  test.each<[string, Properties, Properties, Partial<typeof options>, boolean, boolean]>([
    ["mutable data", configMap({ a: "1" }), configMap({ a: "2" }), {}, false, false],
    ["immutable data", configMap({ a: "1" }), configMap({ a: "2" }), { configMapMutable: false }, true, true],
    ["frozen data", configMap({ a: "1" }), configMap({ a: "2" }, { immutable: true }), {}, true, true],
    [
      "another name",
      configMap({}),
      configMap({}, { metadata: { name: "other", namespace: "prod" } }),
      {},
      true,
      false,
    ],
    [
      "data all at once",
      { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "settings", namespace: "prod" } },
      configMap({ a: "1" }),
      { configMapMutable: false },
      true,
      true,
    ],
  ])("%s", (_, old, wanted, given, replace, deleteFirst) => {
    const comparison = compareObjects(old, wanted, { ...options, ...given });
    expect(comparison.changes.some((change) => change.replace)).toBe(replace);
    expect(comparison.deleteBeforeReplace).toBe(deleteFirst);
  });

  test("replaces a Deployment for its selector and for nothing else of its spec", () => {
    const deployment = (app: string, image: string): Properties => ({
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { name: "app" },
      spec: { selector: { matchLabels: { app } }, template: { spec: { containers: [{ image }] } } },
    });
    const replaced = (wanted: Properties, patch = false) =>
      compareObjects(deployment("a", "1"), wanted, { ...options, patch }).changes.some(
        (change) => change.replace,
      );
    expect(replaced(deployment("a", "2"))).toBe(false);
    expect(replaced(deployment("b", "1"))).toBe(true);
    expect(replaced(deployment("b", "1"), true)).toBe(false);
  });
});

describe("a live object against the inputs", () => {
  test("is cut down to what they name", () => {
    const live = {
      metadata: { name: "a", uid: "1", labels: { ours: "changed", theirs: "x" } },
      spec: { list: [{ a: 1, more: 2 }], replicas: 3 },
      status: {},
    };
    const inputs = { metadata: { name: "a", labels: { ours: "1" } }, spec: { list: [{ a: 1 }] } };
    expect(pruneLive(live, inputs)).toEqual({
      metadata: { name: "a", labels: { ours: "changed" } },
      spec: { list: [{ a: 1 }] },
    });
  });

  test("keeps the inputs' way of writing what means the same", () => {
    const inputs = {
      resources: { requests: { cpu: "0.7", memory: "1024Mi" } },
      env: [],
      note: "",
      seen: "gone",
    };
    const live = { resources: { requests: { cpu: "700m", memory: "1Gi" } } };
    expect(pruneLive(live, inputs)).toEqual({
      resources: { requests: { cpu: "0.7", memory: "1024Mi" } },
      env: [],
      note: "",
    });
    const other = { resources: { requests: { cpu: "800m", memory: "1Gi" } } };
    expect(pruneLive(other, inputs)["resources"]).toEqual({ requests: { cpu: "800m", memory: "1024Mi" } });
  });

  test("shows a longer list whole", () => {
    expect(pruneLive({ hosts: ["a", "b"] }, { hosts: ["a"] })).toEqual({ hosts: ["a", "b"] });
  });

  test("reads a Secret's text out of its data", () => {
    const live = { kind: "Secret", data: { token: Buffer.from("new").toString("base64"), other: "eA==" } };
    expect(pruneLive(live, { kind: "Secret", stringData: { token: "old" } })).toEqual({
      kind: "Secret",
      stringData: { token: "new" },
    });
  });
});

describe("secrets and unknowns", () => {
  const secretData = makeSecret({ token: "hidden" });

  test("are unwrapped at any depth, and nulls left out", () => {
    const inputs: Properties = { data: secretData, list: [makeSecret("x")], nothing: null };
    expect(revealSecrets(inputs)).toEqual({ data: { token: "hidden" }, list: ["x"] });
    expect(containsSecret(inputs)).toBe(true);
    expect(containsSecret(revealSecrets(inputs))).toBe(false);
  });

  test("are hidden again where they came from; a list as a whole", () => {
    const pattern: Properties = {
      data: { token: makeSecret("x"), open: "y" },
      list: [makeSecret("a"), "b"],
      gone: makeSecret("z"),
    };
    expect(hideLike({ data: { token: "x", open: "y", more: "z" }, list: ["b", "a"] }, pattern)).toEqual({
      data: { token: makeSecret("x"), open: "y", more: "z" },
      list: makeSecret(["b", "a"]),
    });
  });

  test("survive the wire", () => {
    const bag: Properties = { a: makeSecret({ b: [1, true, null, "x"] }), c: unknown };
    expect(fromStruct(toStruct(bag))).toEqual(bag);
    expect(fromStruct(undefined)).toEqual({});
    expect(containsUnknown(bag)).toBe(true);
    expect(containsUnknown({ a: [{ b: unknown }] })).toBe(true);
    expect(containsUnknown({ a: ["known"] })).toBe(false);
  });

  test("stay hidden in the state, also where the server answers under another key", () => {
    const live = { kind: "Secret", data: { token: "aGlkZGVu", open: "eQ==" }, metadata: { name: "s" } };
    const state = writeCheckpoint(
      live,
      { kind: "Secret", stringData: { token: makeSecret("hidden") } },
      "manager",
    );
    expect(state["data"]).toEqual({ token: makeSecret("aGlkZGVu"), open: "eQ==" });
    const whole = writeCheckpoint(
      live,
      { kind: "Secret", stringData: makeSecret({ token: "hidden" }) },
      "manager",
    );
    expect(whole["data"]).toEqual(makeSecret(live.data));
    expect(readCheckpoint(state)).toEqual({
      inputs: { kind: "Secret", stringData: { token: makeSecret("hidden") } },
      live,
      fieldManager: "manager",
    });
  });
});

describe("fields and their managers", () => {
  const annotated = (annotations: Properties): Properties => ({ metadata: { name: "a", annotations } });
  const entry = (
    manager: string,
    operation: string,
    fieldsV1: Properties,
    extra: Properties = {},
  ): Properties => ({
    manager,
    operation,
    fieldsV1,
    ...extra,
  });
  const withEntries = (...managedFields: Properties[]): Properties => ({ metadata: { managedFields } });

  test("the annotation's manager comes before the state's, and a new one has the official form", () => {
    expect(fieldManagerOf(annotated({ "pulumi.com/patchFieldManager": "mine" }), "stored")).toBe("mine");
    expect(fieldManagerOf(annotated({}), "stored")).toBe("stored");
    expect(fieldManagerOf(annotated({}))).toMatch(/^pulumi-kubernetes-[0-9a-f]{8}$/);
  });

  test("are forced by annotation or option only", () => {
    expect(forced(annotated({ "pulumi.com/patchForce": "true" }), false)).toBe(true);
    expect(forced(annotated({ "pulumi.com/patchForce": "false" }), false)).toBe(false);
    expect(forced({}, true)).toBe(true);
  });

  test("are given back by an object that says who it is and nothing more", () => {
    const object = {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "a", namespace: "b", labels: { c: "d" } },
      spec: {},
    };
    expect(identity(object)).toEqual({
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: "a", namespace: "b" },
    });
  });

  test("of a plain create become ours before the first apply; others stay", () => {
    const helm = entry("helm", "Apply", { "f:spec": {} });
    const status = entry("pulumi-kubernetes-1", "Update", { "f:status": {} }, { subresource: "status" });
    const live = withEntries(
      helm,
      entry("pulumi-kubernetes-1", "Update", { "f:data": { "f:a": {} } }),
      entry("pulumi-kubernetes-1", "Apply", { "f:data": { "f:b": {} } }),
      entry("kubectl-edit", "Update", { "f:data": { "f:c": {} } }),
      status,
    );
    expect(adoptManagedFields(live, "pulumi-kubernetes-1")).toEqual([
      entry("pulumi-kubernetes-1", "Apply", { "f:data": { "f:a": {}, "f:b": {}, "f:c": {} } }),
      helm,
      status,
    ]);
  });

  test("need no moving when they are applied already", () => {
    const live = withEntries(entry("mine", "Apply", {}), entry("helm", "Update", {}));
    expect(adoptManagedFields(live, "mine")).toBeUndefined();
  });
});

describe("a rollout", () => {
  const deployment = (status: Properties): Properties => ({
    metadata: { generation: 3 },
    spec: { replicas: 2 },
    status,
  });

  test.each<[Properties, string | undefined]>([
    [{ observedGeneration: 2 }, "observed"],
    [{ observedGeneration: 3, replicas: 2, updatedReplicas: 1 }, "1/2 Pods updated"],
    [{ observedGeneration: 3, replicas: 3, updatedReplicas: 2, availableReplicas: 2 }, "1 old Pods to go"],
    [{ observedGeneration: 3, replicas: 2, updatedReplicas: 2, availableReplicas: 1 }, "1/2 Pods available"],
    [{ observedGeneration: 3, replicas: 2, updatedReplicas: 2, availableReplicas: 2 }, undefined],
  ])("with status %j waits for %s", (status, expected) => {
    const step = rolloutStep(deployment(status));
    if (expected === undefined) expect(step).toBeUndefined();
    else expect(step).toContain(expected);
  });

  test("to none is complete with none", () => {
    expect(
      rolloutStep({ metadata: { generation: 1 }, spec: { replicas: 0 }, status: { observedGeneration: 1 } }),
    ).toBeUndefined();
  });

  test("is explained by what its Pods wait for", () => {
    const metadata = { name: "app-1" };
    expect(
      podReasons({
        metadata,
        status: { containerStatuses: [{ name: "a", ready: true, state: { running: {} } }] },
      }),
    ).toEqual([]);
    const terminated = { reason: "Error", message: "exit 1" };
    expect(
      podReasons({
        metadata,
        status: { containerStatuses: [{ name: "a", ready: false, state: { terminated } }] },
      }),
    ).toEqual(["Pod app-1: container a: [Error] exit 1"]);
    const conditions = [
      { type: "PodScheduled", status: "False", reason: "Unschedulable", message: "no nodes" },
    ];
    expect(podReasons({ metadata, status: { conditions } })).toEqual(["Pod app-1: [Unschedulable] no nodes"]);
  });
});

describe("time and retries", () => {
  const never = new AbortController().signal;

  test("the option counts before the annotation, and that before the default", () => {
    const annotated: Properties = { metadata: { annotations: { "pulumi.com/timeoutSeconds": "7" } } };
    expect(timeoutOf(3, annotated, 9000)).toBe(3000);
    expect(timeoutOf(0, annotated, 9000)).toBe(7000);
    expect(timeoutOf(0, {}, 9000)).toBe(9000);
  });

  test("what is missing is waited for, so many times; other errors are final", async () => {
    const missing = new ApiError('namespaces "x" not found', 404, "NotFound");
    const attempts: number[] = [];
    let calls = 0;
    const create = async () => {
      calls += 1;
      if (calls < 3) throw missing;
      return "made";
    };
    expect(await retryMissing(create, (attempt) => attempts.push(attempt), never, [1, 1, 1])).toBe("made");
    expect(attempts).toEqual([1, 2]);
    await expect(
      retryMissing(
        () => Promise.reject(missing),
        () => undefined,
        never,
        [1],
      ),
    ).rejects.toBe(missing);
    const conflict = new ApiError("exists", 409, "AlreadyExists");
    calls = 0;
    const fails = async () => {
      calls += 1;
      throw conflict;
    };
    await expect(retryMissing(fails, () => undefined, never, [1, 1])).rejects.toBe(conflict);
    expect(calls).toBe(1);
  });
});
