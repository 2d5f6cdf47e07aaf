import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { LocalWorkspace, PulumiCommand, type EngineEvent, type Stack } from "@pulumi/pulumi/automation";
import { parse, stringify } from "yaml";
import program from "../index";
import { SandboxError } from "./error";
import { partPath } from "./parts/find";
import { providerPlugin } from "./provider";

const root = path.join(__dirname, "..");

/** One resource that an operation changes, or would change. */
export interface Change {
  /** `create`, `update`, `replace`, `delete`, … as the engine names it. */
  operation: string;
  type: string;
  name: string;
  /** Paths of the properties that differ. */
  properties: string[];
}

export interface Result {
  /** What changed; a resource that stays the same is not listed. */
  changes: Change[];
  /** What the engine and the program said beside it, a line each. */
  messages: string[];
  outputs: Record<string, unknown>;
}

/**
 * The real Pulumi engine with the real program, run by the Automation API as an inline program (which needs no
 * language plugin). State, secrets and config live in `directory`; the checkout is only read.
 */
export class Engine {
  private constructor(
    private readonly stack: Stack,
    private readonly configFile: string,
  ) {}

  /**
   * @param directory for the state, the stack's config and plug-ins; made when missing.
   * @param kubeconfig path of the kubeconfig that the program deploys with.
   * @param config overrides of `Pulumi.sandbox.yaml`, by key without the project's name; a key is replaced whole.
   * @throws SandboxError when the engine cannot start.
   */
  static async open(options: {
    directory: string;
    kubeconfig: string;
    config?: Record<string, unknown>;
    stack?: string;
  }): Promise<Engine> {
    const { directory, kubeconfig, stack = "sandbox" } = options;
    const state = path.join(directory, "state");
    mkdirSync(state, { recursive: true });
    const provider = await providerPlugin();
    const tools = [
      path.dirname(partPath("pulumi")),
      ...(provider.directory === undefined ? [] : [provider.directory]),
    ];
    process.env["PATH"] = [...tools, process.env["PATH"]].join(path.delimiter);
    writeFileSync(path.join(directory, "Pulumi.yaml"), readFileSync(path.join(root, "Pulumi.yaml")));
    const configFile = path.join(directory, `Pulumi.${stack}.yaml`);
    writeFileSync(configFile, readFileSync(path.join(root, "Pulumi.sandbox.yaml")));
    const opened = await LocalWorkspace.createOrSelectStack(
      { stackName: stack, projectName: "vpsight", program },
      {
        workDir: directory,
        pulumiCommand: await PulumiCommand.get(),
        envVars: {
          PATH: process.env["PATH"],
          // Its own choice of a home asks for the user, who is root inside a user namespace.
          PULUMI_HOME: path.join(directory, "home"),
          PULUMI_BACKEND_URL: `file://${state}`,
          PULUMI_CONFIG_PASSPHRASE: randomBytes(16).toString("hex"),
          PULUMI_SKIP_UPDATE_CHECK: "true",
          PULUMI_AUTOMATION_API_SKIP_VERSION_CHECK: "true",
          KUBECONFIG: kubeconfig,
        },
      },
    ).catch((error: unknown) => {
      const lines = (error instanceof Error ? error.message : String(error)).split("\n");
      throw new SandboxError(
        `pulumi could not open the stack: ${lines.find((line) => line.includes("error:")) ?? lines[0]}`,
      );
    });
    const engine = new Engine(opened, configFile);
    engine.configure({ cluster: { kubeconfig }, ...options.config });
    return engine;
  }

  /** Replaces whole keys of the stack's config; `undefined` takes one out. */
  configure(overrides: Record<string, unknown>): void {
    const file = parse(readFileSync(this.configFile, "utf8")) as { config?: Record<string, unknown> };
    const config = { ...file.config };
    for (const [key, value] of Object.entries(overrides)) {
      if (value === undefined) delete config[`vpsight:${key}`];
      else config[`vpsight:${key}`] = value;
    }
    writeFileSync(this.configFile, stringify({ ...file, config }));
  }

  /** Sets one value inside a key, such as `fleet.http.token`, as a secret: it is encrypted where it is stored. */
  async configureSecret(property: string, value: string): Promise<void> {
    await this.stack.setConfig(`vpsight:${property}`, { value, secret: true }, true);
  }

  /** @throws SandboxError with what the engine said. */
  up(): Promise<Result> {
    return this.run("up", (onEvent) => this.stack.up({ onEvent, color: "never" }));
  }

  preview(): Promise<Result> {
    return this.run("preview", (onEvent) => this.stack.preview({ onEvent, color: "never" }));
  }

  refresh(): Promise<Result> {
    return this.run("refresh", (onEvent) => this.stack.refresh({ onEvent, color: "never" }));
  }

  destroy(): Promise<Result> {
    return this.run("destroy", (onEvent) => this.stack.destroy({ onEvent, color: "never" }));
  }

  /** The whole state with its secrets in clear, which is how the Automation API exports it. */
  async state(): Promise<string> {
    return JSON.stringify(await this.stack.exportStack());
  }

  /** Everything the engine wrote down: the state as it is stored, its backups and history. */
  storedState(): string {
    const folder = path.join(path.dirname(this.configFile), "state");
    const files = readdirSync(folder, { recursive: true, withFileTypes: true });
    return files
      .filter((file) => file.isFile())
      .map((file) => readFileSync(path.join(file.parentPath, file.name), "utf8"))
      .join("\n");
  }

  private async run(name: string, operation: (onEvent: (event: EngineEvent) => void) => Promise<unknown>) {
    const result: Result = { changes: [], messages: [], outputs: {} };
    const errors: string[] = [];
    try {
      await operation((event) => collect(event, result, errors));
    } catch (error) {
      const said =
        errors.length > 0 ? errors.join("\n") : error instanceof Error ? error.message : String(error);
      throw new SandboxError(`pulumi ${name} failed: ${said}`);
    }
    const outputs = await this.stack.outputs();
    result.outputs = Object.fromEntries(
      Object.entries(outputs).map(([key, { value }]) => [key, value as unknown]),
    );
    return result;
  }
}

function collect(event: EngineEvent, result: Result, errors: string[]): void {
  const metadata = event.resourcePreEvent?.metadata;
  if (metadata !== undefined && metadata.op !== "same" && metadata.op !== "refresh") {
    const properties = Object.keys(metadata.detailedDiff ?? {});
    const name = metadata.urn.split("::").at(-1) ?? metadata.urn;
    result.changes.push({ operation: metadata.op, type: metadata.type, name, properties });
  }
  const diagnostic = event.diagnosticEvent;
  if (diagnostic === undefined || diagnostic.ephemeral === true) return;
  // The SDK's type does not know the engine's debug messages.
  const severity: string = diagnostic.severity;
  if (severity === "debug") return;
  const message = diagnostic.message.trim();
  if (severity === "error") errors.push(message);
  if (message !== "") result.messages.push(message);
}
