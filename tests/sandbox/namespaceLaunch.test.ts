/**
 * Real namespaces of this machine. Not shown here: systems that forbid them (see namespacePermission.test.ts).
 */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";

jest.setTimeout(30_000);

interface Launcher {
  readonly process: ChildProcess;
  readonly exited: Promise<number | NodeJS.Signals | null>;
  /** Resolves with the output once it contains the text. */
  says(text: string): Promise<string>;
}

describe("the sandbox's launcher", () => {
  let temporary: string;
  const launchers: Launcher[] = [];

  beforeEach(async () => {
    temporary = await mkdtemp(join(tmpdir(), "launch-"));
  });

  afterEach(async () => {
    for (const { process } of launchers.splice(0)) process.kill("SIGKILL");
    await rm(temporary, { recursive: true, force: true, maxRetries: 5 });
  });

  const start = (script: string, ...more: string[]): Launcher => {
    const loader = pathToFileURL(require.resolve("tsx")).href;
    const child = spawn(
      process.execPath,
      ["--import", loader, join(__dirname, "fixtures/launch.ts"), script, ...more],
      {
        env: { ...process.env, TMPDIR: temporary },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (output += text));
    }
    const launcher: Launcher = {
      process: child,
      exited: new Promise((resolve) => child.once("exit", (code, signal) => resolve(code ?? signal))),
      says: async (text) => {
        for (let waited = 0; waited < 15_000; waited += 50) {
          if (output.includes(text)) return output;
          await sleep(50);
        }
        throw new Error(`"${text}" was not said; output: ${output}`);
      },
    };
    launchers.push(launcher);
    return launcher;
  };

  it("runs a program with its own network, processes and file systems, and passes its exit code on", async () => {
    const launcher = start("ls /sys/class/net >/dev/null; echo pid of init: $PPID; ip -br link; exit 7");
    expect(await launcher.exited).toBe(7);
    const output = await launcher.says("pid of init: 1\n");
    expect(output).toContain("lo ");
    expect(output).not.toContain("eth0");
    expect(await runDirectories(temporary)).toEqual([]);
  });

  it("asks the program to stop on SIGINT and waits for it", async () => {
    const launcher = start("trap 'sleep 0.3; exit 5' TERM; echo up; while :; do sleep 0.1; done");
    await launcher.says("up\n");
    launcher.process.kill("SIGINT");
    expect(await launcher.exited).toBe(5);
    expect(await runDirectories(temporary)).toEqual([]);
  });

  it("kills a program that does not stop, with all its children", async () => {
    const marker = `vpsight-stubborn-${process.pid}`;
    const launcher = start(
      `trap '' TERM; sh -c 'trap "" TERM; sleep 600' ${marker} & echo up; wait; wait; sleep 600`,
      "300",
    );
    await launcher.says("up\n");
    expect(await processesNamed(marker)).toHaveLength(1);
    launcher.process.kill("SIGTERM");
    expect(await launcher.exited).toBe(137);
    expect(await processesNamed(marker)).toEqual([]);
    expect(await runDirectories(temporary)).toEqual([]);
  });

  it("kills at once on a second signal", async () => {
    const launcher = start("trap '' TERM; echo up; while :; do sleep 0.1; done");
    await launcher.says("up\n");
    launcher.process.kill("SIGINT");
    await sleep(200);
    launcher.process.kill("SIGINT");
    expect(await launcher.exited).toBe(137);
  });

  it("leaves no process when it is killed itself, and the next start removes its directory", async () => {
    const marker = `vpsight-orphan-${process.pid}`;
    const launcher = start(`sh -c 'sleep 600; exit' ${marker} & echo up; wait`);
    await launcher.says("up\n");
    launcher.process.kill("SIGKILL");
    await launcher.exited;
    await sleep(500);
    expect(await processesNamed(marker)).toEqual([]);
    expect(await runDirectories(temporary)).toHaveLength(1);

    expect(await start("true").exited).toBe(0);
    expect(await runDirectories(temporary)).toEqual([]);
  });

  it("leaves the directory of a launcher that lives alone", async () => {
    const first = start("trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done");
    await first.says("up\n");
    expect(await start("true").exited).toBe(0);
    expect(await runDirectories(temporary)).toHaveLength(1);
    first.process.kill("SIGTERM");
    expect(await first.exited).toBe(0);
  });

  it("tells the program the host ports, another one when the wanted is taken", async () => {
    const taken = createServer();
    const port = await new Promise<number>((resolve) =>
      taken.listen(0, "127.0.0.1", () => {
        const address = taken.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      }),
    );
    try {
      const launcher = start("echo $VPSIGHT_SANDBOX_FORWARDS $VPSIGHT_SANDBOX_RUN .", "15000", String(port));
      const output = await launcher.says(" .\n");
      const [, forwarded] = /^\{"web":(\d+)\} /.exec(output) ?? [];
      expect(Number(forwarded)).toBeGreaterThan(0);
      expect(Number(forwarded)).not.toBe(port);
      expect(output).toContain(temporary);
    } finally {
      taken.close();
    }
  });

  it("keeps the logs of the last run where it is told to", async () => {
    const logs = join(temporary, "kept");
    const run = (word: string) =>
      start(`echo ${word} > $VPSIGHT_SANDBOX_LOGS/${word}.log`, "15000", "0", logs).exited;
    expect(await run("first")).toBe(0);
    expect(await run("second")).toBe(0);
    expect(await readdir(logs)).toEqual(["second.log"]);
    expect(await runDirectories(temporary)).toEqual([]);
  });
});

async function runDirectories(parent: string): Promise<string[]> {
  return (await readdir(parent)).filter((name) => name.startsWith("vpsight-run-"));
}

/** Processes with the text as a whole argument. */
async function processesNamed(argument: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || !existsSync(`/proc/${name}/cmdline`)) continue;
    const line = await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "");
    if (line.split("\0").includes(argument)) found.push(name);
  }
  return found;
}
