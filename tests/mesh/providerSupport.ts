import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import * as path from "node:path";
import {
  LocalWorkspace,
  PulumiCommand,
  type EngineEvent,
  type PulumiFn,
  type Stack,
} from "@pulumi/pulumi/automation";
import { ApiServer } from "../../sandbox/provider/api";
import { providerPlugin } from "../../sandbox/provider/plugin";
import { loadKubeConfig } from "../../sandbox/provider/settings";
import { partPath } from "../../sandbox/parts/find";
import { startProcess, type RunningProcess } from "../../sandbox/process";

/** An API server to test against, without controllers. */
export interface TestCluster {
  readonly kubeconfig: string;
  readonly api: ApiServer;
  /** A new folder under the cluster's own, which goes with it. */
  directory(name: string): string;
  stop(): Promise<void>;
}

/**
 * The cluster of `VPSIGHT_TEST_KUBECONFIG`, else an etcd and a kube-apiserver of its own on free loopback ports.
 */
export async function startTestCluster(): Promise<TestCluster> {
  const root = mkdtempSync(path.join(tmpdir(), "vpsight-provider-"));
  const running: RunningProcess[] = [];
  const given = process.env["VPSIGHT_TEST_KUBECONFIG"];
  const stop = async () => {
    for (const part of running.reverse()) await part.stop();
    rmSync(root, { recursive: true, force: true });
  };
  try {
    const kubeconfig = given ?? (await startOwn(root, running));
    const config = await loadKubeConfig({ kubeconfig, context: "", cluster: "" });
    return {
      kubeconfig,
      api: new ApiServer(config, new AbortController().signal),
      directory: (name) => {
        const directory = path.join(root, name);
        mkdirSync(directory, { recursive: true });
        return directory;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startOwn(root: string, running: RunningProcess[]): Promise<string> {
  const [clientPort, peerPort, securePort] = await freePorts(3);
  const etcd = `http://127.0.0.1:${clientPort}`;
  const peers = `http://127.0.0.1:${peerPort}`;
  running.push(
    await startProcess({
      name: "etcd",
      command: partPath("etcd"),
      args: [
        `--data-dir=${path.join(root, "etcd")}`,
        `--listen-client-urls=${etcd}`,
        `--advertise-client-urls=${etcd}`,
        `--listen-peer-urls=${peers}`,
        `--initial-advertise-peer-urls=${peers}`,
        `--initial-cluster=default=${peers}`,
        "--unsafe-no-fsync",
      ],
      logFile: path.join(root, "etcd.log"),
      ready: async () => (await fetch(`${etcd}/health`)).ok,
    }),
  );
  const token = randomBytes(16).toString("hex");
  writeFileSync(path.join(root, "tokens.csv"), `${token},admin,admin,system:masters\n`);
  const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
    type: "pkcs8",
    format: "pem",
  });
  const keyFile = path.join(root, "service-account.key");
  writeFileSync(keyFile, key);
  const certificates = path.join(root, "certificates");
  const server = `https://127.0.0.1:${securePort}`;
  const kubeconfig = path.join(root, "kubeconfig");
  running.push(
    await startProcess({
      name: "kube-apiserver",
      command: partPath("kube-apiserver"),
      args: [
        `--etcd-servers=${etcd}`,
        `--cert-dir=${certificates}`,
        `--secure-port=${securePort}`,
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        `--token-auth-file=${path.join(root, "tokens.csv")}`,
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        `--service-account-key-file=${keyFile}`,
        `--service-account-signing-key-file=${keyFile}`,
        "--service-cluster-ip-range=10.96.0.0/16",
        "--disable-admission-plugins=ServiceAccount",
      ],
      logFile: path.join(root, "kube-apiserver.log"),
      ready: async () => {
        writeKubeconfig(kubeconfig, server, token, path.join(certificates, "apiserver.crt"));
        const config = await loadKubeConfig({ kubeconfig, context: "", cluster: "" });
        const api = new ApiServer(config, new AbortController().signal);
        await api.request("GET", "/readyz");
        await api.request("GET", "/api/v1/namespaces/default");
        return true;
      },
    }),
  );
  return kubeconfig;
}

/** A kubeconfig with one context, `test`; `caFile` holds the certificate to trust. */
export function writeKubeconfig(file: string, server: string, token: string, caFile?: string): void {
  const trust =
    caFile === undefined ? {} : { "certificate-authority-data": readFileSync(caFile).toString("base64") };
  const config = {
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    clusters: [{ name: "test", cluster: { server, ...trust } }],
    users: [{ name: "admin", user: { token } }],
  };
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** What one run of the engine did or would do. */
export interface EngineResult {
  /** `create`, `update`, … per resource name; those that stay the same are left out. */
  readonly operations: Record<string, string>;
  /** Paths of what differs, per resource name. */
  readonly differences: Record<string, string[]>;
  readonly outputs: Record<string, unknown>;
  /** The diagnostics, in order. */
  readonly messages: string[];
}

/** The real engine on a stack of its own, with its state in a folder. */
export class TestStack {
  private constructor(
    private readonly stack: Stack,
    private readonly directory: string,
  ) {}

  static async open(directory: string): Promise<TestStack> {
    const { directory: plugin } = await providerPlugin();
    const backend = path.join(directory, "state");
    mkdirSync(backend, { recursive: true });
    writeFileSync(path.join(directory, "Pulumi.yaml"), "name: provider-test\nruntime: nodejs\n");
    const search = [path.dirname(partPath("pulumi")), plugin, process.env["PATH"] ?? ""].join(path.delimiter);
    // The Automation API looks for its command on this process's PATH.
    process.env["PATH"] = search;
    const stack = await LocalWorkspace.createOrSelectStack(
      { stackName: "test", projectName: "provider-test", program: async () => undefined },
      {
        workDir: directory,
        pulumiCommand: await PulumiCommand.get(),
        envVars: {
          PATH: search,
          PULUMI_BACKEND_URL: `file://${backend}`,
          PULUMI_CONFIG_PASSPHRASE: "test",
          PULUMI_SKIP_UPDATE_CHECK: "true",
        },
      },
    );
    return new TestStack(stack, directory);
  }

  async up(program: PulumiFn): Promise<EngineResult> {
    return await record(async (onEvent) => (await this.stack.up({ program, onEvent })).outputs);
  }

  async preview(program: PulumiFn): Promise<EngineResult> {
    return await record(async (onEvent) => {
      await this.stack.preview({ program, onEvent });
      return {};
    });
  }

  async refresh(): Promise<EngineResult> {
    return await record(async (onEvent) => {
      await this.stack.refresh({ onEvent });
      return {};
    });
  }

  async destroy(): Promise<EngineResult> {
    return await record(async (onEvent) => {
      await this.stack.destroy({ onEvent });
      return {};
    });
  }

  /** The state file as text. */
  stateText(): string {
    return readFileSync(path.join(this.directory, "state/.pulumi/stacks/provider-test/test.json"), "utf8");
  }

  /** The whole message of a failed run, diagnostics included. */
  async failure(run: Promise<EngineResult>): Promise<string> {
    const outcome = await run.then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (outcome === undefined) throw new Error("the run succeeded");
    return outcome;
  }
}

async function record(
  run: (onEvent: (event: EngineEvent) => void) => Promise<Record<string, { value: unknown }>>,
): Promise<EngineResult> {
  const operations: Record<string, string> = {};
  const differences: Record<string, string[]> = {};
  const messages: string[] = [];
  const outputs = await run((event) => {
    if (event.diagnosticEvent !== undefined) messages.push(event.diagnosticEvent.message.trim());
    const metadata = (event.resOutputsEvent ?? event.resourcePreEvent)?.metadata;
    if (metadata === undefined || metadata.op === "same" || !metadata.type.startsWith("kubernetes:")) return;
    const name = metadata.urn.split("::").at(-1) ?? "";
    // A refresh announces each resource with this, and says afterwards what it found.
    if (metadata.op === "refresh") return;
    operations[name] = metadata.op;
    differences[name] = Object.keys(metadata.detailedDiff ?? {}).sort();
  });
  const values = Object.entries(outputs).map(([key, output]) => [key, output.value] as const);
  return { operations, differences, outputs: Object.fromEntries(values), messages };
}
