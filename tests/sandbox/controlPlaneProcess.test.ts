import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SandboxError } from "../../sandbox/error";
import {
  partEnvironment,
  startProcess,
  type ProcessOptions,
  type RunningProcess,
} from "../../sandbox/process";

let directory: string;
const started: RunningProcess[] = [];
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "process-"));
});
afterEach(async () => {
  await Promise.all(started.splice(0).map((process) => process.kill()));
  await rm(directory, { recursive: true, force: true });
});

const start = async (script: string, more: Partial<ProcessOptions> = {}): Promise<RunningProcess> => {
  const process = await startProcess({
    name: "part",
    command: "sh",
    args: ["-c", script],
    logFile: join(directory, "logs", "part.log"),
    ...more,
  });
  started.push(process);
  return process;
};

describe("startProcess", () => {
  it("waits until the process is ready", async () => {
    let asked = 0;
    const process = await start("exec sleep 60", { ready: async () => ++asked >= 3 });
    expect(asked).toBe(3);
    expect(process.running).toBe(true);
  });

  it("notices at once that the process died, and shows its last lines and its log", async () => {
    const begun = Date.now();
    const failure = start("echo first; echo no such flag: --nonsense >&2; exit 3", {
      ready: () => new Promise(() => undefined),
    });
    await expect(failure).rejects.toThrow(SandboxError);
    await expect(failure).rejects.toThrow(
      `part ended before it was ready (exit code 3): first | no such flag: --nonsense; log: ${directory}/logs/part.log`,
    );
    expect(Date.now() - begun).toBeLessThan(5_000);
  });

  it("gives up on a process that does not become ready, and ends it", async () => {
    const failure = start(`echo $$ > ${directory}/pid; echo waiting; exec sleep 60`, {
      ready: async () => false,
      readyTimeout: 300,
    });
    await expect(failure).rejects.toThrow(/^part did not become ready within 0 s: waiting; log: /);
    const pid = Number(await readFile(join(directory, "pid"), "utf8"));
    expect(() => process.kill(pid, 0)).toThrow("ESRCH");
  });

  it("takes a rejected readiness check for 'not yet'", async () => {
    let asked = 0;
    const ready = async (): Promise<boolean> => {
      asked += 1;
      if (asked < 3) throw new Error("connection refused");
      return true;
    };
    expect((await start("exec sleep 60", { ready })).running).toBe(true);
  });

  it("names a program that does not exist", async () => {
    await expect(start("", { command: join(directory, "missing") })).rejects.toThrow(
      /^part could not be started: .*ENOENT/,
    );
  });

  it("stops in order", async () => {
    const process = await start("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", {
      ready: async () => (await readFile(join(directory, "logs/part.log"), "utf8")).includes("up"),
    });
    await process.stop();
    expect(await process.exited).toEqual({ code: 0, signal: null });
    expect(await readFile(process.logFile, "utf8")).toContain("bye");
    await process.stop();
  });

  it("kills what does not stop, children included", async () => {
    const process = await start(
      `trap '' TERM; sleep 60 & echo $! > ${directory}/child; echo up; wait; wait; sleep 60`,
      {
        ready: async () => (await readFile(join(directory, "logs/part.log"), "utf8")).includes("up"),
        stopTimeout: 200,
      },
    );
    const child = Number(await readFile(join(directory, "child"), "utf8"));
    await process.stop();
    expect(await process.exited).toEqual({ code: null, signal: "SIGKILL" });
    await waitUntilGone(child);
  });
});

describe("partEnvironment", () => {
  it("passes a few harmless variables on, and nothing else", () => {
    const source = {
      PATH: "/bin",
      HOME: "/root",
      KUBECONFIG: "/x",
      HTTPS_PROXY: "http://p",
      AWS_SECRET_ACCESS_KEY: "k",
    };
    expect(partEnvironment({ GOGC: "400" }, source)).toEqual({ PATH: "/bin", HOME: "/root", GOGC: "400" });
  });
});

async function waitUntilGone(pid: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    // A zombie that nobody has collected yet is gone as well.
    const status = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined);
    if (status === undefined || status.slice(status.lastIndexOf(")") + 2).startsWith("Z")) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`process ${pid} is still there`);
}
