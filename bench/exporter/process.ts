import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeFlags } from "../../exporter/nodeFlags";

/** Kernel's unit of CPU time in /proc/<pid>/stat: always 100 a second for user space on Linux. */
const ticksPerSecond = 100;
const startMilliseconds = 60_000;

/** The exporter's bundle as a process on one core of its own, for measurements. */
export class ExporterProcess {
  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    readonly otlpPort: number,
    readonly httpPort: number,
  ) {}

  /**
   * @param bundle path of the exporter's bundle.
   * @param inventory text of the inventory.
   * @param core processor that it may run on.
   */
  static async start(bundle: string, inventory: string, core: number): Promise<ExporterProcess> {
    const folder = mkdtempSync(join(tmpdir(), "vpsight-bench-"));
    const path = join(folder, "fleet.json");
    writeFileSync(path, inventory);
    const flags = ["--inventory-file", path, "--otlp-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0"];
    const child = spawn("taskset", ["-c", String(core), process.execPath, ...nodeFlags, bundle, ...flags], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    for (const end = Date.now() + startMilliseconds; Date.now() < end;) {
      const ports = /"otlpPort":(\d+),"httpPort":(\d+)/.exec(output);
      if (ports !== null) return new ExporterProcess(child, folder, Number(ports[1]), Number(ports[2]));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    child.kill("SIGKILL");
    throw new Error(`the exporter did not start: ${output}`);
  }

  /** CPU time of all its threads so far, in seconds, user and kernel. */
  get cpuSeconds(): number {
    const fields = this.read("stat").split(") ")[1]?.split(" ") ?? [];
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  }

  /** Resident memory now and at its highest, in MiB. */
  get memory(): { readonly nowMiB: number; readonly peakMiB: number } {
    const status = this.read("status");
    const mebibytes = (name: string) =>
      Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? Number.NaN) / 1_024;
    return { nowMiB: mebibytes("VmRSS"), peakMiB: mebibytes("VmHWM") };
  }

  stop(): void {
    this.child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true });
  }

  private read(file: string): string {
    return readFileSync(`/proc/${this.child.pid ?? 0}/${file}`, "utf8");
  }
}
