/**
 * The Kubernetes provider with the real engine on a real API server. Which provider it is (the official plug-in or the
 * sandbox's stand-in) is to make no difference to these tests: they take whichever `providerPlugin` finds. There are no
 * controllers, so nothing becomes ready. What they do not prove: that the official plug-in passes them, unless it ran.
 */
import * as path from "node:path";
import * as k8s from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { metadataOf, nameOf } from "../../sandbox/provider/objects";
import { readOrUndefined } from "../../sandbox/provider/readiness";
import { propertiesAt, textAt, type Properties } from "../../sandbox/provider/values";
import { startTestCluster, TestStack, writeKubeconfig, type TestCluster } from "./providerSupport";

jest.setTimeout(180_000);

let cluster: TestCluster;
let count = 0;

beforeAll(async () => {
  cluster = await startTestCluster();
});
afterAll(async () => {
  await cluster?.stop();
});

interface Scene {
  readonly stack: TestStack;
  readonly namespace: string;
  /** Declares the provider and then what the test is about. */
  readonly program: (
    declare: (options: pulumi.CustomResourceOptions) => Record<string, unknown> | void,
  ) => () => Promise<Record<string, unknown>>;
  /** Reads an object; `{namespace}` in the path stands for the scene's. */
  readonly get: (path: string) => Promise<Properties | undefined>;
}

/** A namespace and a stack of its own. */
async function scene(providerArgs: k8s.ProviderArgs = {}): Promise<Scene> {
  const namespace = `provider-${++count}`;
  await cluster.api.request("POST", "/api/v1/namespaces", { body: { metadata: { name: namespace } } });
  const stack = await TestStack.open(cluster.directory(namespace));
  return {
    stack,
    namespace,
    program: (declare) => async () => {
      const args = { kubeconfig: cluster.kubeconfig, namespace, ...providerArgs };
      return declare({ provider: new k8s.Provider("kubernetes", args) }) ?? {};
    },
    get: async (place) =>
      await readOrUndefined(cluster.api, place.replace("{namespace}", `namespaces/${namespace}`)),
  };
}

/** Without a garbage collector only a deletion in the background ends. */
const background = { "pulumi.com/deletionPropagationPolicy": "background" };

const managersOf = (object: Properties | undefined): string[] =>
  JSON.stringify(metadataOf(object ?? {})["managedFields"] ?? []).match(/(?<="manager":")[^"]*/g) ?? [];

describe("a ConfigMap", () => {
  const settings = (data: Record<string, string>) => (options: pulumi.CustomResourceOptions) => {
    new k8s.core.v1.ConfigMap(
      "settings",
      { metadata: { name: "settings", annotations: background }, data },
      options,
    );
  };

  test("is made, left alone, updated in place, refreshed and deleted", async () => {
    const { stack, program, get } = await scene({ enableConfigMapMutable: true });
    const first = program(settings({ "a.txt": "1", b: "2" }));
    expect((await stack.preview(first)).operations).toEqual({ settings: "create" });
    expect(await get("/api/v1/{namespace}/configmaps/settings")).toBeUndefined();
    expect((await stack.up(first)).operations).toEqual({ settings: "create" });
    expect((await get("/api/v1/{namespace}/configmaps/settings"))?.["data"]).toEqual({
      "a.txt": "1",
      b: "2",
    });
    expect((await stack.up(first)).operations).toEqual({});

    const second = program(settings({ "a.txt": "changed", c: "3" }));
    const preview = await stack.preview(second);
    expect(preview.operations).toEqual({ settings: "update" });
    expect(preview.differences["settings"]).toEqual(["data.b", "data.c", 'data["a.txt"]']);
    expect((await stack.up(second)).operations).toEqual({ settings: "update" });
    expect((await get("/api/v1/{namespace}/configmaps/settings"))?.["data"]).toEqual({
      "a.txt": "changed",
      c: "3",
    });
    expect((await stack.refresh()).operations).toEqual({});
    expect((await stack.up(second)).operations).toEqual({});

    expect((await stack.destroy()).operations).toEqual({ settings: "delete" });
    expect(await get("/api/v1/{namespace}/configmaps/settings")).toBeUndefined();
  });

  test("is replaced for other data, unless ConfigMaps are mutable", async () => {
    const { stack, program, get } = await scene();
    await stack.up(program(settings({ a: "1" })));
    const before = metadataOf((await get("/api/v1/{namespace}/configmaps/settings")) ?? {})["uid"];
    const changed = await stack.up(program(settings({ a: "2" })));
    expect(changed.differences["settings"]).toEqual(["data.a"]);
    expect(metadataOf((await get("/api/v1/{namespace}/configmaps/settings")) ?? {})["uid"]).not.toEqual(
      before,
    );
  });

  test("that somebody changed is drift after a refresh, and is put right", async () => {
    const { stack, program, get, namespace } = await scene({ enableConfigMapMutable: true });
    const wanted = program(settings({ a: "1" }));
    await stack.up(wanted);
    await cluster.api.request("PATCH", `/api/v1/namespaces/${namespace}/configmaps/settings`, {
      query: { fieldManager: "kubectl-edit" },
      contentType: "application/merge-patch+json",
      body: { data: { a: "drifted" }, metadata: { labels: { foreign: "yes" } } },
    });
    expect((await stack.refresh()).operations).toEqual({ settings: "update" });
    expect((await stack.preview(wanted)).differences["settings"]).toEqual(["data.a"]);
    await stack.up(wanted);
    expect((await get("/api/v1/{namespace}/configmaps/settings"))?.["data"]).toEqual({ a: "1" });
  });

  test("that somebody deleted leaves the state on refresh, and is no obstacle to a destroy", async () => {
    const { stack, program, namespace } = await scene();
    const wanted = program(settings({ a: "1" }));
    await stack.up(wanted);
    await cluster.api.request("DELETE", `/api/v1/namespaces/${namespace}/configmaps/settings`);
    expect((await stack.refresh()).operations).toEqual({ settings: "delete" });
    expect((await stack.up(wanted)).operations).toEqual({ settings: "create" });
    await cluster.api.request("DELETE", `/api/v1/namespaces/${namespace}/configmaps/settings`);
    expect((await stack.destroy()).operations).toEqual({ settings: "delete" });
  });

  test("that exists already is not taken over", async () => {
    const { stack, program, get, namespace } = await scene();
    await cluster.api.request("POST", `/api/v1/namespaces/${namespace}/configmaps`, {
      body: { metadata: { name: "settings" }, data: { theirs: "yes" } },
    });
    expect(await stack.failure(stack.up(program(settings({ a: "1" }))))).toContain(
      '"settings" already exists',
    );
    expect((await get("/api/v1/{namespace}/configmaps/settings"))?.["data"]).toEqual({ theirs: "yes" });
  });

  test("may take its data from what another resource gets to be", async () => {
    const { stack, program, get } = await scene();
    const wanted = program((options) => {
      const first = new k8s.core.v1.ConfigMap(
        "first",
        { metadata: { name: "first", annotations: background } },
        options,
      );
      new k8s.core.v1.ConfigMap(
        "second",
        { metadata: { name: "second", annotations: background }, data: { uid: first.metadata.uid } },
        options,
      );
    });
    expect((await stack.preview(wanted)).operations).toEqual({ first: "create", second: "create" });
    await stack.up(wanted);
    const first = metadataOf((await get("/api/v1/{namespace}/configmaps/first")) ?? {});
    expect((await get("/api/v1/{namespace}/configmaps/second"))?.["data"]).toEqual({ uid: first["uid"] });
  });

  test("is imported as it is", async () => {
    const { stack, program, get, namespace } = await scene();
    const made = await cluster.api.request("POST", `/api/v1/namespaces/${namespace}/configmaps`, {
      body: { metadata: { name: "settings", annotations: background }, data: { a: "1" } },
    });
    const wanted = (importId?: string) =>
      program((options) => {
        const inputs = {
          metadata: { name: "settings", namespace, annotations: background },
          data: { a: "1" },
        };
        new k8s.core.v1.ConfigMap(
          "settings",
          inputs,
          importId === undefined ? options : { ...options, import: importId },
        );
      });
    expect((await stack.up(wanted(`${namespace}/settings`))).operations).toEqual({ settings: "import" });
    const imported = metadataOf((await get("/api/v1/{namespace}/configmaps/settings")) ?? {});
    expect(imported["resourceVersion"]).toBe(metadataOf(made)["resourceVersion"]);
    expect((await stack.up(wanted())).operations).toEqual({});
    await stack.destroy();
    expect(await get("/api/v1/{namespace}/configmaps/settings")).toBeUndefined();
  });
});

describe("a Deployment", () => {
  const workload =
    (args: { image?: string; app?: string; skipAwait?: boolean; timeout?: string }) =>
    (options: pulumi.CustomResourceOptions) => {
      const { image = "example.com/app:1", app = "app", skipAwait = true, timeout } = args;
      const labels = { app };
      new k8s.apps.v1.Deployment(
        "app",
        {
          metadata: {
            name: "app",
            annotations: { ...background, ...(skipAwait ? { "pulumi.com/skipAwait": "true" } : {}) },
          },
          spec: {
            selector: { matchLabels: labels },
            template: {
              metadata: { labels },
              spec: {
                containers: [
                  { name: "app", image, resources: { requests: { cpu: "0.5", memory: "1024Mi" } } },
                ],
                volumes: [{ name: "scratch", emptyDir: {} }],
              },
            },
          },
        },
        timeout === undefined ? options : { ...options, customTimeouts: { create: timeout } },
      );
    };

  test("is updated in place for another image, and made anew for another selector", async () => {
    const { stack, program, get } = await scene();
    await stack.up(program(workload({})));
    expect((await stack.refresh()).operations).toEqual({});
    expect((await stack.up(program(workload({})))).operations).toEqual({});

    const updated = await stack.up(program(workload({ image: "example.com/app:2" })));
    expect(updated.operations).toEqual({ app: "update" });
    expect(updated.differences["app"]).toEqual(["spec.template.spec.containers[0].image"]);
    expect(JSON.stringify(await get("/apis/apps/v1/{namespace}/deployments/app"))).toContain(
      "example.com/app:2",
    );

    const replaced = await stack.preview(program(workload({ image: "example.com/app:2", app: "other" })));
    expect(Object.values(replaced.operations)).toEqual([expect.stringContaining("replace")]);
  });

  test("that does not get ready in time is an error, and stays in the state", async () => {
    const { stack, program, get } = await scene();
    const failure = await stack.failure(stack.up(program(workload({ skipAwait: false, timeout: "2s" }))));
    expect(failure).toContain("timed out waiting to be Ready");
    expect(await get("/apis/apps/v1/{namespace}/deployments/app")).toBeDefined();
    await stack.destroy();
    expect(await get("/apis/apps/v1/{namespace}/deployments/app")).toBeUndefined();
  });
});

describe("custom resources", () => {
  const definition = {
    metadata: { name: "gadgets.test.example.com", annotations: background },
    spec: {
      group: "test.example.com",
      names: { kind: "Gadget", plural: "gadgets", singular: "gadget", listKind: "GadgetList" },
      scope: "Namespaced",
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: "object",
              properties: {
                spec: {
                  type: "object",
                  properties: {
                    size: { type: "integer" },
                    names: { type: "array", items: { type: "string" } },
                  },
                },
              },
            },
          },
        },
      ],
    },
  };
  const gadget = (spec: Record<string, unknown>) => ({
    apiVersion: "test.example.com/v1",
    kind: "Gadget",
    metadata: { name: "one", annotations: background },
    spec,
  });

  test("are made in the same update as their definition", async () => {
    const { stack, program, get } = await scene();
    const wanted = (size: number) =>
      program((options) => {
        const crd = new k8s.apiextensions.v1.CustomResourceDefinition("definition", definition, options);
        new k8s.apiextensions.CustomResource("gadget", gadget({ size, names: ["a", "b"] }), {
          ...options,
          dependsOn: crd,
        });
      });
    expect((await stack.preview(wanted(1))).operations).toEqual({ definition: "create", gadget: "create" });
    await stack.up(wanted(1));
    expect((await stack.refresh()).operations).toEqual({});
    const changed = await stack.up(wanted(2));
    expect(changed.operations).toEqual({ gadget: "update" });
    expect(changed.differences["gadget"]).toEqual(["spec.size"]);
    expect((await get("/apis/test.example.com/v1/{namespace}/gadgets/one"))?.["spec"]).toEqual({
      size: 2,
      names: ["a", "b"],
    });
    await stack.destroy();
    expect(
      await get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.test.example.com"),
    ).toBeUndefined();
  });
});

describe("a ServicePatch", () => {
  const patched = (annotations: Record<string, string>) => (options: pulumi.CustomResourceOptions) => {
    new k8s.core.v1.ServicePatch(
      "gateway",
      {
        metadata: {
          name: "gateway",
          annotations: {
            "pulumi.com/patchFieldManager": "vpsight",
            "pulumi.com/skipAwait": "true",
            ...annotations,
          },
        },
      },
      options,
    );
  };
  const foreign = async (namespace: string) =>
    await cluster.api.request("PATCH", `/api/v1/namespaces/${namespace}/services/gateway`, {
      query: { fieldManager: "helm" },
      contentType: "application/apply-patch+yaml",
      body: {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "gateway", annotations: { theirs: "kept" } },
        spec: { selector: { app: "gateway" }, ports: [{ name: "https", port: 443 }] },
      },
    });
  const annotationsOf = (object: Properties | undefined) =>
    propertiesAt(metadataOf(object ?? {}), "annotations");

  test("owns its own keys, changes them, and gives them back", async () => {
    const { stack, program, get, namespace } = await scene();
    await foreign(namespace);
    await stack.up(program(patched({ ours: "1", also: "2" })));
    const live = await get("/api/v1/{namespace}/services/gateway");
    expect(annotationsOf(live)).toMatchObject({ theirs: "kept", ours: "1", also: "2" });
    expect(managersOf(live).sort()).toEqual(["helm", "vpsight"]);
    expect((await stack.refresh()).operations).toEqual({});
    expect((await stack.up(program(patched({ ours: "1", also: "2" })))).operations).toEqual({});

    const changed = await stack.up(program(patched({ ours: "3" })));
    expect(changed.operations).toEqual({ gateway: "update" });
    expect(changed.differences["gateway"]).toEqual([
      "metadata.annotations.also",
      "metadata.annotations.ours",
    ]);
    expect(annotationsOf(await get("/api/v1/{namespace}/services/gateway"))).not.toHaveProperty("also");

    await stack.destroy();
    const left = await get("/api/v1/{namespace}/services/gateway");
    expect(annotationsOf(left)).toEqual({ theirs: "kept" });
    expect(managersOf(left)).toEqual(["helm"]);
    expect(left?.["spec"]).toEqual(live?.["spec"]);
  });

  test("fails on a key that belongs to another manager, and names it", async () => {
    const { stack, program, get, namespace } = await scene();
    await foreign(namespace);
    const failure = await stack.failure(stack.up(program(patched({ theirs: "taken" }))));
    expect(failure).toContain('conflict with "helm"');
    expect(failure).toContain('"vpsight"');
    expect(annotationsOf(await get("/api/v1/{namespace}/services/gateway"))).toEqual({ theirs: "kept" });
  });

  test("takes such a key when it is told to", async () => {
    const { stack, program, get, namespace } = await scene();
    await foreign(namespace);
    await stack.up(program(patched({ theirs: "taken", "pulumi.com/patchForce": "true" })));
    expect(annotationsOf(await get("/api/v1/{namespace}/services/gateway"))).toMatchObject({
      theirs: "taken",
    });
  });
});

test("secrets reach the cluster and are in no state as plain text", async () => {
  const { stack, program, get } = await scene();
  const wanted = program((options) => {
    const token = pulumi.secret("hunter2-in-the-open");
    const name = "credentials";
    new k8s.core.v1.Secret(
      name,
      { metadata: { name, annotations: background }, stringData: { token } },
      options,
    );
    new k8s.core.v1.ConfigMap(
      "mixed",
      { metadata: { name: "mixed", annotations: background }, data: { open: "visible-text", hidden: token } },
      options,
    );
    return { token };
  });
  await stack.up(wanted);
  const stored = propertiesAt((await get("/api/v1/{namespace}/secrets/credentials")) ?? {}, "data");
  expect(Buffer.from(textAt(stored, "token"), "base64").toString()).toBe("hunter2-in-the-open");
  expect((await get("/api/v1/{namespace}/configmaps/mixed"))?.["data"]).toEqual({
    open: "visible-text",
    hidden: "hunter2-in-the-open",
  });
  expect((await stack.refresh()).operations).toEqual({});
  expect((await stack.up(wanted)).operations).toEqual({});
  const state = stack.stateText();
  expect(state).toContain("visible-text");
  expect(state).not.toContain("hunter2");
  expect(state).not.toContain(textAt(stored, "token"));
});

test("cluster-scoped objects get no namespace, others the provider's", async () => {
  const { stack, program, get, namespace } = await scene();
  await stack.up(
    program((options) => {
      const metadata = { name: `reader-${namespace}`, annotations: background };
      new k8s.rbac.v1.ClusterRole("cluster", { metadata, rules: [] }, options);
      new k8s.rbac.v1.Role("namespaced", { metadata, rules: [] }, options);
    }),
  );
  const role = await get(`/apis/rbac.authorization.k8s.io/v1/{namespace}/roles/reader-${namespace}`);
  expect(nameOf(role ?? {})).toBe(`reader-${namespace}`);
  expect(await get(`/apis/rbac.authorization.k8s.io/v1/clusterroles/reader-${namespace}`)).toBeDefined();
});

test("a rejected object is reported with the API server's own words", async () => {
  const { stack, program } = await scene();
  const failure = await stack.failure(
    stack.up(
      program((options) => {
        const args = { metadata: { name: "bad", labels: { "not a key": "x" }, annotations: background } };
        new k8s.core.v1.ConfigMap("bad", args, options);
      }),
    ),
  );
  expect(failure).toContain('ConfigMap "bad" is invalid: metadata.labels: Invalid value: "not a key"');
});

test("an API server that is not there is named in a sentence", async () => {
  const directory = cluster.directory("unreachable");
  const kubeconfig = path.join(directory, "kubeconfig");
  writeKubeconfig(kubeconfig, "https://127.0.0.1:1", "none");
  const { stack, program } = await scene({ kubeconfig });
  const wanted = program((options) => {
    new k8s.core.v1.ConfigMap("settings", { metadata: { name: "settings" }, data: {} }, options);
  });
  const failure = await stack.failure(stack.up(wanted));
  expect(failure).toContain("configured Kubernetes cluster is unreachable");
  expect(failure).toContain("https://127.0.0.1:1");
  expect(failure).toContain("connection refused");
  expect(failure).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
});
