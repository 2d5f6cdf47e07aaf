import { mkdtemp, readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { V1Volume } from "@kubernetes/client-node";
import { writeAtomically } from "../../sandbox/kubelet/atomicWriter";
import {
  type ProjectionContext,
  tokensWanted,
  VolumeError,
  volumeFiles,
} from "../../sandbox/kubelet/projection";

const context: ProjectionContext = {
  facts: {
    pod: { metadata: { name: "gateway", namespace: "istio-system", labels: { app: "gateway" } } },
    podAddress: "10.244.1.1",
    nodeAddress: "10.244.0.1",
  },
  objects: {
    configMap: (name) =>
      name === "settings"
        ? {
            data: { "a.yaml": "a: 1", b: "two" },
            binaryData: { raw: Buffer.from([0, 255]).toString("base64") },
          }
        : undefined,
    secret: (name) =>
      name === "keys" ? { data: { "tls.key": Buffer.from("key").toString("base64") } } : undefined,
  },
  token: ({ audience }) => (audience === "istio-ca" ? "token-for-istio" : undefined),
};

function files(volume: Omit<V1Volume, "name">): Record<string, string> {
  const result = volumeFiles({ name: "volume", ...volume }, context) ?? new Map<string, never>();
  return Object.fromEntries(
    [...result].map(([path, file]) => [path, `${file.content.toString("latin1")} ${file.mode.toString(8)}`]),
  );
}

describe("files of a volume", () => {
  test("a ConfigMap as a whole, texts and bytes", () => {
    expect(files({ configMap: { name: "settings" } })).toEqual({
      "a.yaml": "a: 1 644",
      b: "two 644",
      raw: "\u0000\u00ff 644",
    });
  });

  test("chosen keys at their own paths and modes", () => {
    const items = [{ key: "a.yaml", path: "conf/main.yaml", mode: 0o400 }];
    expect(files({ configMap: { name: "settings", items, defaultMode: 0o600 } })).toEqual({
      "conf/main.yaml": "a: 1 400",
    });
  });

  test("a Secret is decoded", () => {
    expect(files({ secret: { secretName: "keys", defaultMode: 0o440 } })).toEqual({ "tls.key": "key 440" });
  });

  test("a projected volume joins token, ConfigMap, Secret and downward API", () => {
    const sources = [
      { serviceAccountToken: { path: "istio-token", audience: "istio-ca", expirationSeconds: 43_200 } },
      { configMap: { name: "settings", items: [{ key: "b", path: "b" }] } },
      { secret: { name: "keys" } },
      { downwardAPI: { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] } },
    ];
    expect(files({ projected: { sources } })).toEqual({
      "istio-token": "token-for-istio 600",
      b: "two 644",
      "tls.key": "key 644",
      labels: 'app="gateway" 644',
    });
    expect(
      tokensWanted({ spec: { containers: [], volumes: [{ name: "t", projected: { sources } }] } }),
    ).toEqual([{ audience: "istio-ca", expirationSeconds: 43_200, path: "istio-token" }]);
  });

  test("an emptyDir has no files of the kubelet's", () => {
    expect(volumeFiles({ name: "data", emptyDir: {} }, context)).toBeUndefined();
  });

  test("optional objects and keys may be missing", () => {
    expect(files({ configMap: { name: "gone", optional: true } })).toEqual({});
    expect(files({ secret: { secretName: "gone", optional: true } })).toEqual({});
    const items = [
      { key: "none", path: "none" },
      { key: "b", path: "b" },
    ];
    expect(files({ configMap: { name: "settings", optional: true, items } })).toEqual({ b: "two 644" });
  });

  test.each<[Omit<V1Volume, "name">, string]>([
    [{ configMap: { name: "gone" } }, 'configmap "gone" not found'],
    [{ secret: { secretName: "gone" } }, 'secret "gone" not found'],
    [
      { configMap: { name: "settings", items: [{ key: "none", path: "x" }] } },
      'configmap "settings" has no key "none"',
    ],
    [
      { projected: { sources: [{ serviceAccountToken: { path: "t", audience: "other" } }] } },
      'no token yet for audience "other"',
    ],
    [{ hostPath: { path: "/" } }, 'volume "volume": hostPath is refused'],
    [{ persistentVolumeClaim: { claimName: "data" } }, 'volume "volume": persistentVolumeClaim is refused'],
  ])("%j keeps the Pod waiting", (volume, message) => {
    expect(() => files(volume)).toThrow(VolumeError);
    expect(() => files(volume)).toThrow(message);
  });
});

describe("atomic replacement", () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), "vpsight-volume-"));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const content = (entries: Record<string, string>) =>
    new Map(
      Object.entries(entries).map(([path, text]) => [path, { content: Buffer.from(text), mode: 0o640 }]),
    );
  const visible = async () => (await readdir(directory)).filter((entry) => !entry.startsWith("..")).sort();

  test("names link through ..data, which points at a folder of its own", async () => {
    await writeAtomically(directory, content({ key: "1", "sub/deep": "2" }));
    expect(await visible()).toEqual(["key", "sub"]);
    expect(await readlink(join(directory, "key"))).toBe("..data/key");
    expect(await readlink(join(directory, "sub"))).toBe("..data/sub");
    expect(await readlink(join(directory, "..data"))).toMatch(/^\.\.\d{4}_/);
    expect(await readFile(join(directory, "sub/deep"), "utf8")).toBe("2");
    expect((await stat(join(directory, "key"))).mode & 0o777).toBe(0o640);
  });

  test("a change replaces the folder and leaves no old one", async () => {
    await writeAtomically(directory, content({ key: "1", gone: "x" }));
    const before = await readlink(join(directory, "..data"));
    expect(await writeAtomically(directory, content({ key: "2", added: "y" }))).toBe(true);
    expect(await visible()).toEqual(["added", "key"]);
    expect(await readFile(join(directory, "key"), "utf8")).toBe("2");
    const now = await readlink(join(directory, "..data"));
    expect(now).not.toBe(before);
    expect((await readdir(directory)).filter((entry) => entry.startsWith("..")).sort()).toEqual(
      ["..data", now].sort(),
    );
  });

  test("equal content changes nothing, so that no watcher wakes", async () => {
    await writeAtomically(directory, content({ key: "1" }));
    const before = await readlink(join(directory, "..data"));
    expect(await writeAtomically(directory, content({ key: "1" }))).toBe(false);
    expect(await readlink(join(directory, "..data"))).toBe(before);
  });

  test("a reader never sees a mixture of old and new", async () => {
    await writeAtomically(directory, content({ a: "0", b: "0" }));
    let writing = true;
    const writer = (async () => {
      for (let turn = 1; turn <= 50; turn++)
        await writeAtomically(directory, content({ a: `${turn}`, b: `${turn}` }));
      writing = false;
    })();
    let compared = 0;
    while (writing) {
      const folder = await readlink(join(directory, "..data"));
      // The folder may be removed between the two reads; then there is nothing to compare.
      const [a, b] = await Promise.all(
        ["a", "b"].map((name) => readFile(join(directory, folder, name), "utf8").catch(() => undefined)),
      );
      if (a === undefined || b === undefined) continue;
      expect(a).toBe(b);
      compared += 1;
    }
    await writer;
    expect(compared).toBeGreaterThan(0);
  });
});
