import { mkdtemp, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { V1Container, V1PodSpec } from "@kubernetes/client-node";
import { bubblewrapArguments, type ContainerRoot } from "../../sandbox/kubelet/bubblewrap";
import { containerRoot } from "../../sandbox/kubelet/containerRoot";
import { parseImage, resolveImage } from "../../sandbox/kubelet/image";
import type { Image } from "../../sandbox/kubelet/types";

const image = (name: string): Image => ({ entrypoint: [name], files: [] });

describe("images", () => {
  test.each([
    ["node", "docker.io/library/node", undefined],
    ["node:24", "docker.io/library/node", "24"],
    ["prom/prometheus:v3", "docker.io/prom/prometheus", "v3"],
    ["docker.io/library/node:24@sha256:abc", "docker.io/library/node", "24"],
    ["registry.example:5000/a/b", "registry.example:5000/a/b", undefined],
    ["localhost/a:1", "localhost/a", "1"],
  ])("%s is %s, tag %s", (reference, repository, tag) => {
    expect(parseImage(reference)).toEqual({ repository, tag });
  });

  test("an entry for the tag comes before one for any tag; neither matches another repository", () => {
    const table = {
      node: image("any"),
      "docker.io/library/node:24": image("24"),
      "a.example/node": image("a"),
    };
    expect(resolveImage(table, "node:24")?.entrypoint).toEqual(["24"]);
    expect(resolveImage(table, "docker.io/library/node:22@sha256:abc")?.entrypoint).toEqual(["any"]);
    expect(resolveImage(table, "node")?.entrypoint).toEqual(["any"]);
    expect(resolveImage(table, "nodes")).toBeUndefined();
    expect(resolveImage({ "node:24": image("24") }, "node:22")).toBeUndefined();
  });
});

describe("a container's root", () => {
  let volume: string;
  beforeEach(async () => {
    volume = await mkdtemp(join(tmpdir(), "vpsight-root-"));
    await writeFile(join(volume, "file"), "x");
  });
  afterEach(() => rm(volume, { recursive: true, force: true }));

  const build = (container: Partial<V1Container>, spec: Partial<V1PodSpec> = {}): Promise<ContainerRoot> =>
    containerRoot({
      container: { name: "web", image: "node:24", ...container },
      facts: {
        pod: { metadata: { name: "web-1" }, spec: { containers: [], ...spec } },
        podAddress: "10.244.1.1",
        nodeAddress: "10.244.0.1",
      },
      objects: { configMap: () => undefined, secret: () => undefined },
      images: {
        node: {
          entrypoint: ["/usr/local/bin/node"],
          files: [],
          env: { LANG: "C" },
          workingDirectory: "/home",
          user: 7,
        },
      },
      volumes: new Map([["data", volume]]),
      commonMounts: [],
      commonEnvironment: {},
    });

  test("the container's words win over the image's", async () => {
    const plain = await build({});
    expect(plain).toMatchObject({
      command: ["/usr/local/bin/node"],
      workingDirectory: "/home",
      uid: 7,
      gid: 0,
    });
    expect(plain.environment.get("LANG")).toBe("C");
    const own = await build(
      {
        command: ["/bin/run"],
        args: ["--at=$(WHERE)", "$$(WHERE)"],
        workingDir: "/work",
        env: [{ name: "WHERE", value: "here" }],
        securityContext: { runAsUser: 1000, readOnlyRootFilesystem: true },
      },
      { securityContext: { runAsUser: 5, runAsGroup: 6 } },
    );
    expect(own).toMatchObject({
      command: ["/bin/run", "--at=here", "$(WHERE)"],
      workingDirectory: "/work",
      uid: 1000,
      gid: 6,
      readOnlyRoot: true,
    });
    expect((await build({ args: ["x.js"] })).command).toEqual(["/usr/local/bin/node", "x.js"]);
  });

  test("volume mounts: sub paths, and read-only where the API server fills the volume", async () => {
    const volumeMounts = [
      { name: "data", mountPath: "/data" },
      { name: "data", mountPath: "/one", subPath: "file" },
      { name: "data", mountPath: "/made", subPathExpr: "logs/$(NAME)", readOnly: true },
    ];
    const env = [{ name: "NAME", value: "web" }];
    const empty = await build({ volumeMounts, env }, { volumes: [{ name: "data", emptyDir: {} }] });
    expect(empty.mounts).toEqual([
      { from: volume, to: "/data", readOnly: false },
      { from: join(volume, "file"), to: "/one", readOnly: false },
      { from: join(volume, "logs/web"), to: "/made", readOnly: true },
    ]);
    const configMap = await build(
      { volumeMounts: volumeMounts.slice(0, 1) },
      { volumes: [{ name: "data", configMap: { name: "settings" } }] },
    );
    expect(configMap.mounts).toEqual([{ from: volume, to: "/data", readOnly: true }]);
  });

  test.each<[string, Partial<V1Container>]>([
    ["leads out of its volume", { volumeMounts: [{ name: "data", mountPath: "/x", subPath: "../.." }] }],
    ["leads out of its volume", { volumeMounts: [{ name: "data", mountPath: "/x", subPath: "link" }] }],
    ['volume "none" is not in the Pod', { volumeMounts: [{ name: "none", mountPath: "/x" }] }],
    ['image "other:1" is not in the sandbox\'s image table; known: node', { image: "other:1" }],
    [
      "container has runAsNonRoot and image will run as root",
      { securityContext: { runAsNonRoot: true, runAsUser: 0 } },
    ],
    ["privileged containers and added capabilities are refused", { securityContext: { privileged: true } }],
    [
      "privileged containers and added capabilities",
      { securityContext: { capabilities: { add: ["NET_ADMIN"] } } },
    ],
  ])("refused: %s", async (message, container) => {
    await mkdir(join(volume, "inside"));
    await symlink("/etc", join(volume, "link"));
    await expect(build(container, { volumes: [{ name: "data", emptyDir: {} }] })).rejects.toThrow(message);
  });
});

describe("bubblewrap's arguments", () => {
  const root: ContainerRoot = {
    hostname: "web-1",
    uid: 1000,
    gid: 1001,
    readOnlyRoot: true,
    files: [],
    directories: ["/tmp"],
    mounts: [
      { from: "/volumes/inner", to: "/data/inner", readOnly: true },
      { from: "/volumes/data", to: "/data", readOnly: false },
    ],
    environment: new Map([["TOKEN", "a b"]]),
    workingDirectory: "/tmp",
    command: ["/usr/local/bin/node"],
  };
  const text = (changes: Partial<ContainerRoot> = {}) =>
    bubblewrapArguments({ ...root, ...changes }).join(" ");

  test("no capability, own namespaces, own user, nothing inherited", () => {
    const options = text();
    expect(options).toContain("--cap-drop ALL");
    for (const namespace of ["user", "pid", "uts", "ipc"])
      expect(options).toContain(`--unshare-${namespace}`);
    expect(options).toContain("--uid 1000 --gid 1001");
    expect(options).toContain("--die-with-parent");
    expect(options).toContain("--clearenv --setenv TOKEN a b --chdir /tmp");
    expect(options).not.toMatch(/--(ro-)?bind (\/|\/home|\/root|\/etc|\/usr|\/var) /);
  });

  test("a mount inside another comes after it, and the root is closed after all of them", () => {
    const options = text();
    const outer = options.indexOf("--bind /volumes/data /data");
    const inner = options.indexOf("--ro-bind /volumes/inner /data/inner");
    expect(outer).toBeGreaterThan(0);
    expect(inner).toBeGreaterThan(outer);
    expect(options.indexOf("--remount-ro /")).toBeGreaterThan(inner);
    expect(text({ readOnlyRoot: false })).not.toContain("--remount-ro");
  });
});
