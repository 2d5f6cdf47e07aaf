import { createServer, type IncomingMessage, type Server } from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { ApiError, ApiServer, UnknownKindError, UnreachableError } from "../../sandbox/provider/api";
import { NotReadyError, waitUntilGone, waitUntilReady } from "../../sandbox/provider/readiness";
import { Connection } from "../../sandbox/provider/connection";
import { defaultNamespace, loadKubeConfig, readSettings } from "../../sandbox/provider/settings";
import type { Properties } from "../../sandbox/provider/values";

// The first to ask for a kubeconfig waits for the client library to load.
jest.setTimeout(60_000);

interface Received {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** Answers by `METHOD /path` (no query); a list of answers is used up one by one, its last stays. */
type Answers = Record<string, { status?: number; body: unknown }[]>;

let server: Server | undefined;
afterEach(async () => {
  const closing = server;
  server = undefined;
  closing?.closeAllConnections();
  if (closing !== undefined) await new Promise((resolve) => closing.close(resolve));
});

async function serve(answers: Answers): Promise<{ address: string; received: Received[] }> {
  const received: Received[] = [];
  const started = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      received.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      const queue = answers[`${method} ${url.split("?")[0]}`];
      const answer = (queue !== undefined && queue.length > 1 ? queue.shift() : queue?.[0]) ?? {
        status: 404,
        body: { kind: "Status", reason: "NotFound", message: `no answer for ${method} ${url}` },
      };
      response.writeHead(answer.status ?? 200, { "content-type": "application/json" });
      response.end(JSON.stringify(answer.body));
    });
  });
  server = started;
  await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
  const address = started.address();
  return { address: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`, received };
}

const kubeconfig = (address: string, extra: Properties = {}) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "one",
    contexts: [
      { name: "one", context: { cluster: "one", user: "me", namespace: "from-context" } },
      { name: "two", context: { cluster: "two", user: "me" } },
    ],
    clusters: [
      { name: "one", cluster: { server: address, "insecure-skip-tls-verify": true } },
      { name: "two", cluster: { server: "https://two.example.com:6443" } },
    ],
    users: [{ name: "me", user: { token: "my-token" } }],
    ...extra,
  });

async function apiAt(address: string): Promise<ApiServer> {
  const config = await loadKubeConfig({ kubeconfig: kubeconfig(address), context: "", cluster: "" });
  return new ApiServer(config, new AbortController().signal);
}

const coreKinds = {
  resources: [
    { name: "services", kind: "Service", namespaced: true },
    { name: "services/status", kind: "Service", namespaced: true },
    { name: "namespaces", kind: "Namespace", namespaced: false },
    { name: "pods", kind: "Pod", namespaced: true },
  ],
};

describe("the API client", () => {
  test("sends the token, the body's length and the query, and reads JSON", async () => {
    const { address, received } = await serve({ "DELETE /api/v1/x": [{ body: { metadata: { uid: "1" } } }] });
    const answer = await (
      await apiAt(address)
    ).request("DELETE", "/api/v1/x", {
      query: { dryRun: "All" },
      body: { propagationPolicy: "Background" },
    });
    expect(answer).toEqual({ metadata: { uid: "1" } });
    expect(received[0]).toMatchObject({
      url: "/api/v1/x?dryRun=All",
      body: '{"propagationPolicy":"Background"}',
      headers: {
        authorization: "Bearer my-token",
        "content-length": "34",
        "content-type": "application/json",
      },
    });
  });

  test("passes a rejection on in the server's words", async () => {
    const { address } = await serve({
      "GET /api/v1/x": [
        {
          status: 422,
          body: {
            reason: "Invalid",
            message: "it is wrong",
            details: { causes: [{ field: "spec.ports", reason: "FieldValueRequired" }] },
          },
        },
      ],
    });
    const error = await (await apiAt(address)).request("GET", "/api/v1/x").catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      message: "it is wrong",
      status: 422,
      reason: "Invalid",
      causes: [{ field: "spec.ports", reason: "FieldValueRequired" }],
    });
  });

  test("finds plural and scope, and asks again for what was missing", async () => {
    const { address, received } = await serve({
      "GET /api/v1": [{ body: coreKinds }],
      "GET /apis/example.com/v1": [
        { status: 404, body: { message: "not found" } },
        { body: { resources: [{ name: "gadgets", kind: "Gadget", namespaced: true }] } },
      ],
    });
    const api = await apiAt(address);
    const place = { apiVersion: "v1", kind: "Service", namespace: "prod" };
    expect(await api.path(place, "gateway")).toBe("/api/v1/namespaces/prod/services/gateway");
    expect(await api.path({ apiVersion: "v1", kind: "Namespace", namespace: "" }, "prod")).toBe(
      "/api/v1/namespaces/prod",
    );
    expect(await api.path({ ...place, namespace: "" })).toBe("/api/v1/namespaces/default/services");
    const gadget = { apiVersion: "example.com/v1", kind: "Gadget", namespace: "prod" };
    await expect(api.path(gadget, "one")).rejects.toThrow(UnknownKindError);
    expect(await api.path(gadget, "one")).toBe("/apis/example.com/v1/namespaces/prod/gadgets/one");
    expect(received.map(({ url }) => url)).toEqual([
      "/api/v1",
      "/apis/example.com/v1",
      "/apis/example.com/v1",
    ]);
  });

  test("names the address and the reason when nobody answers", async () => {
    const error = await (
      await apiAt("http://127.0.0.1:1")
    )
      .request("GET", "/version")
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(UnreachableError);
    expect(String(error)).toBe("UnreachableError: http://127.0.0.1:1: connection refused");
  });
});

describe("waiting", () => {
  const options = (timeout: number) => {
    const said: string[] = [];
    const progress = { status: (_: string, message: string) => said.push(message), warn: () => undefined };
    return { said, wait: { urn: "urn", timeout, progress, canceled: new AbortController().signal } };
  };
  const deployment = (status: Properties) => ({
    body: {
      metadata: { generation: 2 },
      spec: { replicas: 2, selector: { matchLabels: { app: "a" } } },
      status,
    },
  });
  const place = { apiVersion: "apps/v1", kind: "Deployment", namespace: "prod", name: "app" };
  const appsKinds = { body: { resources: [{ name: "deployments", kind: "Deployment", namespaced: true }] } };

  test("ends with a Deployment's rollout", async () => {
    const { address } = await serve({
      "GET /apis/apps/v1": [appsKinds],
      "GET /apis/apps/v1/namespaces/prod/deployments/app": [
        deployment({ observedGeneration: 1, replicas: 2, updatedReplicas: 2, availableReplicas: 2 }),
        deployment({ observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 1 }),
        deployment({ observedGeneration: 2, replicas: 2, updatedReplicas: 2, availableReplicas: 2 }),
      ],
    });
    const { said, wait } = options(20_000);
    await waitUntilReady(await apiAt(address), place, wait);
    expect(said).toEqual([
      "Waiting for the rollout to be observed",
      "Waiting for app ReplicaSet to be available (1/2 Pods available)",
      "",
    ]);
  });

  test("gives up in time, and says what its Pods wait for", async () => {
    const waiting = { reason: "ImagePullBackOff", message: "no such image" };
    const { address, received } = await serve({
      "GET /apis/apps/v1": [appsKinds],
      "GET /api/v1": [{ body: coreKinds }],
      "GET /apis/apps/v1/namespaces/prod/deployments/app": [deployment({ observedGeneration: 2 })],
      "GET /api/v1/namespaces/prod/pods": [
        {
          body: {
            items: [
              {
                metadata: { name: "app-1" },
                status: { containerStatuses: [{ name: "main", ready: false, state: { waiting } }] },
              },
            ],
          },
        },
      ],
    });
    const error = await waitUntilReady(await apiAt(address), place, options(1).wait).catch(
      (caught: unknown) => caught,
    );
    expect(error).toBeInstanceOf(NotReadyError);
    expect(error).toMatchObject({
      message: '"app" timed out waiting to be Ready',
      reasons: [
        "Waiting for app ReplicaSet to be available (0/2 Pods updated)",
        "Pod app-1: container main: [ImagePullBackOff] no such image",
      ],
    });
    expect(received.at(-1)?.url).toBe("/api/v1/namespaces/prod/pods?labelSelector=app%3Da");
  });

  test("ends with a Service's first endpoint", async () => {
    const slices = "GET /apis/discovery.k8s.io/v1/namespaces/prod/endpointslices";
    const { address } = await serve({
      "GET /api/v1": [{ body: coreKinds }],
      "GET /apis/discovery.k8s.io/v1": [
        { body: { resources: [{ name: "endpointslices", kind: "EndpointSlice", namespaced: true }] } },
      ],
      "GET /api/v1/namespaces/prod/services/app": [
        { body: { spec: { clusterIP: "10.0.0.1", selector: { app: "a" } } } },
      ],
      [slices]: [
        { body: { items: [{ endpoints: [{ conditions: { ready: false } }] }] } },
        { body: { items: [{ endpoints: [{ conditions: { ready: true } }] }] } },
      ],
    });
    const { said, wait } = options(20_000);
    await waitUntilReady(await apiAt(address), { ...place, apiVersion: "v1", kind: "Service" }, wait);
    expect(said[0]).toContain("Service does not target any Pods");
    expect(said).toHaveLength(2);
  });

  test("for a deletion ends when the object is gone or another has taken its name", async () => {
    const object = (uid: string) => ({ body: { metadata: { uid, finalizers: ["keep"] } } });
    const { address } = await serve({
      "GET /apis/apps/v1": [appsKinds],
      "GET /apis/apps/v1/namespaces/prod/deployments/app": [object("1"), object("2")],
    });
    const api = await apiAt(address);
    await waitUntilGone(api, place, "1", options(20_000).wait);
    await expect(waitUntilGone(api, place, "2", options(1).wait)).rejects.toMatchObject({
      message: 'Timed out waiting for deletion of apps/v1/Deployment "app"',
      reasons: ['its finalizers are still there: ["keep"]'],
    });
  });
});

describe("the configuration", () => {
  const read = (values: Record<string, string>, environment = {}) =>
    readSettings(
      new Map(Object.entries(values).map(([key, value]) => [`kubernetes:config:${key}`, value])),
      environment,
    );

  test("takes arguments before the environment, and knows what it lacks", () => {
    expect(read({})).toMatchObject({ kubeconfig: "", upsert: false, configMapMutable: false });
    expect(read({ enableConfigMapMutable: "true" }).configMapMutable).toBe(true);
    const environment = { PULUMI_K8S_ENABLE_CONFIGMAP_MUTABLE: "true" };
    expect(read({}, environment).configMapMutable).toBe(true);
    expect(read({ enableConfigMapMutable: "false" }, environment).configMapMutable).toBe(false);
    expect(() => read({ enableServerSideApply: "false", renderYamlToDirectory: "/x" })).toThrow(
      /has no renderYamlToDirectory, enableServerSideApply: false/,
    );
  });

  test("takes a kubeconfig as content or as path, and a context out of it", async () => {
    const directory = mkdtempSync(path.join(tmpdir(), "vpsight-kubeconfig-"));
    try {
      const file = path.join(directory, "kubeconfig");
      writeFileSync(file, kubeconfig("https://one.example.com"));
      const byPath = await loadKubeConfig(read({ kubeconfig: file }));
      expect(byPath.getCurrentCluster()?.server).toBe("https://one.example.com");
      expect(defaultNamespace(read({}), byPath)).toBe("from-context");
      expect(defaultNamespace(read({ namespace: "mine" }), byPath)).toBe("mine");
      const content = kubeconfig("https://one.example.com");
      const second = await loadKubeConfig(read({ kubeconfig: content, context: "two" }));
      expect(second.getCurrentCluster()?.server).toBe("https://two.example.com:6443");
      expect(defaultNamespace(read({}), second)).toBe("default");
      const mixed = await loadKubeConfig(read({ kubeconfig: content, cluster: "two" }));
      expect(mixed.getCurrentCluster()?.server).toBe("https://two.example.com:6443");
      await expect(loadKubeConfig(read({ kubeconfig: content, context: "three" }))).rejects.toThrow(
        'context "three" does not exist in the kubeconfig',
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("is usable when the server refuses, and says why when it is not there", async () => {
    const progress = { status: () => undefined, warn: () => undefined };
    const signal = new AbortController().signal;
    const { address } = await serve({ "GET /version": [{ status: 403, body: { message: "no" } }] });
    expect(
      (await Connection.open(read({ kubeconfig: kubeconfig(address) }), progress, signal)).unreachable,
    ).toBeUndefined();
    const away = await Connection.open(
      read({ kubeconfig: kubeconfig("http://127.0.0.1:1") }),
      progress,
      signal,
    );
    expect(away.unreachable).toBe("http://127.0.0.1:1: connection refused");
    expect(away.namespace).toBe("from-context");
    const broken = await Connection.open(
      read({ kubeconfig: kubeconfig("x", { contexts: [] }) }),
      progress,
      signal,
    );
    expect(broken.unreachable).toContain('names no API server for its context "one"');
  });
});
