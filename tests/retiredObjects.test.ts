import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { inDeletionOrder, Retirement } from "../components/retirement";
import type { RetiredObject } from "../configSchema";

/**
 * The API server here is a stand-in of a few lines that answers from a map; it proves what is asked of the
 * API and what is concluded. `tests/mesh/` shows the same on a real one, with the real engine and its hooks.
 */
const namespace = "airport-prod";
const legacy: RetiredObject[] = [
  { kind: "ServiceAccount", namespace, name: "edge-vm" },
  { kind: "WorkloadEntry", namespace, name: "edge-jp-004" },
  { kind: "ServiceEntry", namespace, name: "edge-nodes" },
  { kind: "WorkloadGroup", namespace, name: "edge-nodes-jp" },
];
const istio = `/apis/networking.istio.io/v1/namespaces/${namespace}`;
const paths = {
  serviceEntry: `${istio}/serviceentries/edge-nodes`,
  workloadGroup: `${istio}/workloadgroups/edge-nodes-jp`,
  workloadEntry: `${istio}/workloadentries/edge-jp-004`,
  serviceAccount: `/api/v1/namespaces/${namespace}/serviceaccounts/edge-vm`,
  entries: `${istio}/workloadentries`,
  pods: `/api/v1/namespaces/${namespace}/pods`,
};

let server: Server;
let kubeconfig: string;
let directory: string;
let objects: Map<string, unknown>;
let deletions: { path: string; body: unknown }[];
let said: string[];

beforeEach(async () => {
  objects = new Map<string, unknown>([
    [paths.serviceEntry, { metadata: { name: "edge-nodes", uid: "uid-se" } }],
    [paths.workloadGroup, { metadata: { name: "edge-nodes-jp", uid: "uid-wg" } }],
    [paths.workloadEntry, { metadata: { name: "edge-jp-004", uid: "uid-we" } }],
    [paths.serviceAccount, { metadata: { name: "edge-vm", uid: "uid-sa" } }],
    [paths.entries, { items: [] }],
    [paths.pods, { items: [] }],
  ]);
  deletions = [];
  said = [];
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      const found = objects.get(pathname);
      if (request.method === "DELETE" && found !== undefined) {
        deletions.push({ path: pathname, body: JSON.parse(Buffer.concat(chunks).toString()) as unknown });
        objects.delete(pathname);
      }
      response.writeHead(found === undefined ? 404 : 200, { "content-type": "application/json" });
      response.end(JSON.stringify(found ?? { kind: "Status", code: 404 }));
    });
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  directory = mkdtempSync(path.join(tmpdir(), "vpsight-retired-"));
  kubeconfig = path.join(directory, "kubeconfig");
  const { port } = server.address() as AddressInfo;
  const config = {
    clusters: [
      { name: "c", cluster: { server: `http://127.0.0.1:${port}`, "insecure-skip-tls-verify": true } },
    ],
    users: [{ name: "u", user: {} }],
    contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
    "current-context": "x",
  };
  writeFileSync(kubeconfig, JSON.stringify(config));
});

afterEach(async () => {
  rmSync(directory, { recursive: true });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const retirement = () =>
  new Retirement({ kubeconfig }, inDeletionOrder(legacy), (message) => said.push(message));

test("each object once, and first what receives traffic, last the identity", () => {
  expect(inDeletionOrder([...legacy, ...legacy]).map(({ kind }) => kind)).toEqual([
    "ServiceEntry",
    "WorkloadGroup",
    "WorkloadEntry",
    "ServiceAccount",
  ]);
});

test("announcing reads, names each object with its uid, and deletes nothing", async () => {
  objects.delete(paths.serviceEntry);
  await retirement().announce();
  expect(said).toEqual([
    "ServiceEntry airport-prod/edge-nodes is already gone",
    "WorkloadGroup airport-prod/edge-nodes-jp (uid uid-wg) WILL BE DELETED",
    "WorkloadEntry airport-prod/edge-jp-004 (uid uid-we) WILL BE DELETED",
    "ServiceAccount airport-prod/edge-vm (uid uid-sa) WILL BE DELETED",
  ]);
  expect(deletions).toEqual([]);
});

test("removing deletes the very objects that were seen, in order, and a second time none", async () => {
  await retirement().remove();
  expect(deletions).toEqual([
    { path: paths.serviceEntry, body: { preconditions: { uid: "uid-se" } } },
    { path: paths.workloadGroup, body: { preconditions: { uid: "uid-wg" } } },
    { path: paths.workloadEntry, body: { preconditions: { uid: "uid-we" } } },
    { path: paths.serviceAccount, body: { preconditions: { uid: "uid-sa" } } },
  ]);
  await retirement().remove();
  expect(deletions).toHaveLength(4);
});

test("a cluster that never had Istio's kinds succeeds", async () => {
  objects.clear();
  await retirement().announce();
  await retirement().remove();
  expect(said).toHaveLength(4);
  expect(said.every((line) => line.endsWith("is already gone"))).toBe(true);
});

test("a ServiceAccount that a pod still uses is kept, and said so", async () => {
  objects.set(paths.pods, {
    items: [{ metadata: { name: "agent-0" }, spec: { serviceAccountName: "edge-vm" } }],
  });
  await retirement().announce();
  expect(said.at(-1)).toBe("ServiceAccount airport-prod/edge-vm (uid uid-sa) is KEPT: used by pod agent-0");
  await retirement().remove();
  expect(objects.has(paths.serviceAccount)).toBe(true);
});

test("a WorkloadGroup stays while it owns an entry that is not on the list", async () => {
  const owned = (name: string) => ({ metadata: { name, ownerReferences: [{ uid: "uid-wg" }] } });
  objects.set(paths.entries, { items: [owned("edge-jp-004"), owned("auto-registered")] });
  await retirement().remove();
  expect(objects.has(paths.workloadGroup)).toBe(true);
  objects.set(paths.entries, { items: [owned("edge-jp-004")] });
  await retirement().remove();
  expect(objects.has(paths.workloadGroup)).toBe(false);
});

test("a cluster that does not answer is one clear sentence", async () => {
  const { port } = server.address() as AddressInfo;
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await expect(retirement().announce()).rejects.toThrow(
    new RegExp(
      `^RetiredObjects could not read ServiceEntry airport-prod/edge-nodes: no answer from http://127.0.0.1:${port} `,
    ),
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
