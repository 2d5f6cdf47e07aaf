import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import * as grpc from "@grpc/grpc-js";
import { ResourceProviderClient } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { ProviderHandshakeRequest, type ProviderHandshakeResponse } from "@pulumi/pulumi/proto/provider_pb";
import type { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import sdk from "@pulumi/kubernetes/package.json";
import { providerPlugin } from "../../sandbox/provider/plugin";

// Bundling takes seconds on a busy machine.
jest.setTimeout(60_000);

const name = "pulumi-resource-kubernetes";
let root: string;
beforeAll(() => {
  root = mkdtempSync(path.join(tmpdir(), "vpsight-plugin-"));
});
afterAll(() => rmSync(root, { recursive: true }));

function executable(...segments: string[]): string {
  const directory = path.join(root, ...segments);
  mkdirSync(directory, { recursive: true });
  writeFileSync(path.join(directory, name), "#!/bin/sh\n", { mode: 0o755 });
  return directory;
}

const offline = { count: 0 };
const search = (folder: string, environment: Record<string, string> = {}) => ({
  parts: path.join(root, folder),
  environment: { PATH: "/nonexistent", PULUMI_HOME: path.join(root, folder, "home"), ...environment },
  install: async () => {
    offline.count += 1;
    throw new Error("no network");
  },
});

test("the plug-in on PATH is used as it is", async () => {
  const directory = executable("on-path");
  const found = await providerPlugin(search("a", { PATH: `/nonexistent${path.delimiter}${directory}` }));
  expect(found).toEqual({ kind: "official", directory, version: "unknown" });
});

test("one among Pulumi's own is used in the SDK's version, and in no other", async () => {
  executable("b", "home", "plugins", "resource-kubernetes-v3.0.0");
  expect((await providerPlugin({ ...search("b"), build: async () => undefined })).kind).toBe("stand-in");
  const directory = executable("b", "home", "plugins", `resource-kubernetes-v${sdk.version}`);
  expect(await providerPlugin(search("b"))).toEqual({ kind: "official", directory, version: sdk.version });
});

test("one that can be downloaded is, once", async () => {
  const folder = `resource-kubernetes-v${sdk.version}`;
  const downloads: string[] = [];
  const online = {
    ...search("c"),
    install: async (home: string) => {
      downloads.push(home);
      executable(path.relative(root, path.join(home, "plugins", folder)));
    },
  };
  const found = await providerPlugin(online);
  expect(found).toMatchObject({ kind: "official", version: sdk.version });
  expect(existsSync(path.join(found.directory, name))).toBe(true);
  expect(await providerPlugin(online)).toEqual(found);
  expect(downloads).toHaveLength(1);
});

describe("the stand-in", () => {
  test("is built where there is nothing else; the download is not tried twice", async () => {
    offline.count = 0;
    const first = await providerPlugin(search("d"));
    expect(first).toMatchObject({ kind: "stand-in", version: sdk.version });
    const bundle = path.join(first.directory, "server.js");
    const before = readFileSync(bundle);
    // An engine that was opened before has put it on PATH: it stays a stand-in.
    expect(await providerPlugin(search("d", { PATH: first.directory }))).toEqual(first);
    expect(offline.count).toBe(1);
    expect(readFileSync(bundle).equals(before)).toBe(true);
    writeFileSync(path.join(first.directory, "built-from"), "older sources");
    writeFileSync(bundle, "broken");
    await providerPlugin(search("d"));
    expect(readFileSync(bundle).equals(before)).toBe(true);
  });

  test("prints its port, and answers the engine's first questions", async () => {
    const { directory } = await providerPlugin(search("d"));
    const child = spawn(path.join(directory, name), [], { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const port = await new Promise<string>((resolve, reject) => {
        child.stdout.once("data", (chunk: Buffer) => resolve(chunk.toString().trim()));
        child.once("exit", (code) => reject(new Error(`ended with ${code}`)));
      });
      expect(port).toMatch(/^\d+$/);
      const client = new ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
      const handshake = await new Promise<ProviderHandshakeResponse>((resolve, reject) => {
        client.handshake(new ProviderHandshakeRequest().setEngineAddress("127.0.0.1:1"), (error, response) =>
          error === null ? resolve(response) : reject(error),
        );
      });
      expect(handshake.getAcceptSecrets()).toBe(true);
      const info = await new Promise<PluginInfo>((resolve, reject) => {
        client.getPluginInfo(new Empty(), (error, response) =>
          error === null ? resolve(response) : reject(error),
        );
      });
      expect(info.getVersion()).toBe(`${sdk.version}+standin`);
      client.close();
    } finally {
      child.kill("SIGKILL");
    }
  });
});
