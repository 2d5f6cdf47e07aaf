import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Exposition } from "./samples";
import { parseExposition } from "./samples";

/** The built exporter as a process of its own, with an inventory file that tests change. */
export class RunningExporter {
  /** Everything it wrote so far, to both streams. */
  output = "";
  /** Exit code, once it has ended and all its output is there. */
  readonly exited: Promise<number | null>;
  private readonly child: ChildProcess;
  private readonly folder = mkdtempSync(join(tmpdir(), "vpsight-exporter-"));

  /** @param inventory text of the file at the start; undefined leaves it out, and with `--inventory-url` its flag too. */
  constructor(bundle: string, inventory: string | undefined, ...flags: readonly string[]) {
    if (inventory !== undefined) this.setInventory(inventory);
    const listen = ["--otlp-listen", "--http-listen"]
      .filter((flag) => !flags.some((given) => given.startsWith(flag)))
      .map((flag) => `${flag}=127.0.0.1:0`);
    const planeAlone = inventory === undefined && flags.some((flag) => flag.startsWith("--inventory-url"));
    const file = planeAlone ? [] : ["--inventory-file", this.inventoryPath];
    this.child = spawn(process.execPath, [bundle, ...file, ...listen, ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => (this.output += text));
    }
    this.exited = new Promise((resolve) => this.child.once("close", (code) => resolve(code)));
  }

  get inventoryPath(): string {
    return join(this.folder, "fleet.yaml");
  }

  /** Events logged so far. */
  get events(): readonly Readonly<Record<string, unknown>>[] {
    return this.output
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
  }

  /** The most memory it ever had, in mebibytes (Linux). */
  get peakMebibytes(): number {
    const [, kibibytes] =
      /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${this.child.pid}/status`, "utf8")) ?? [];
    return Number(kibibytes) / 1024;
  }

  /** Replaces the inventory as a whole. */
  setInventory(text: string): void {
    writeFileSync(`${this.inventoryPath}.new`, text);
    renameSync(`${this.inventoryPath}.new`, this.inventoryPath);
  }

  /** Waits until both ports are open. */
  async started(): Promise<{ readonly otlpPort: number; readonly httpPort: number }> {
    const find = () => this.events.find(({ event }) => event === "started");
    await until(
      () => find() !== undefined,
      5_000,
      () => `not started: ${this.output}`,
    );
    const { otlpPort, httpPort } = find() ?? {};
    return { otlpPort: Number(otlpPort), httpPort: Number(httpPort) };
  }

  /** Asks for a page; code 0 when nobody answers. */
  async get(path: string): Promise<{ readonly code: number; readonly text: string }> {
    const { httpPort } = await this.started();
    try {
      const response = await fetch(`http://127.0.0.1:${httpPort}${path}`);
      return { code: response.status, text: await response.text() };
    } catch {
      return { code: 0, text: "" };
    }
  }

  /** A scrape. */
  async scrape(): Promise<Exposition> {
    return parseExposition((await this.get("/metrics")).text);
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Ends it and takes its folder away. */
  async remove(): Promise<void> {
    if (this.child.exitCode === null) this.child.kill("SIGKILL");
    await this.exited;
    rmSync(this.folder, { recursive: true });
  }
}

/** Waits for a condition. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  milliseconds: number,
  describe: () => string = () => "it did not happen",
): Promise<void> {
  for (const end = Date.now() + milliseconds; !(await condition());) {
    if (Date.now() > end) throw new Error(describe());
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
