import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { SandboxError } from "../error";
import { type RunningProcess, startProcess } from "../process";
import { type HaproxyConfig, renderHaproxyConfig } from "./haproxyConfig";

interface Running {
  process: RunningProcess;
  socket: string;
}

/** How long the outgoing process may take to leave its listeners. */
const handOverMilliseconds = 5000;

/**
 * HAProxy processes, one of which accepts connections. A new configuration gets a new process that takes over the
 * listening sockets themselves, so that no connection is refused or dropped; the old one serves what it has accepted
 * and ends with its last connection (https://docs.haproxy.org/2.6/management.html#4).
 */
export class Haproxy {
  private current: Running | undefined;
  private readonly leaving = new Set<RunningProcess>();
  private serial = 0;

  /**
   * @param directory for configuration, sockets and log.
   * @param onLost called when the accepting process ended without having been asked to.
   */
  constructor(
    private readonly program: string,
    private readonly directory: string,
    private readonly onLost: (reason: string) => void,
  ) {}

  /**
   * Resolves when the configuration is in force: the new process accepts, the old one no longer does.
   * @throws SandboxError when HAProxy refuses it; the old configuration then stays in force.
   */
  async apply(config: Omit<HaproxyConfig, "socket">): Promise<void> {
    const before = this.current;
    const next = join(this.directory, `haproxy-${++this.serial}.sock`);
    const file = join(this.directory, "haproxy.cfg");
    await writeFile(file, renderHaproxyConfig({ ...config, socket: next }));
    // From here on its end is no surprise: the new process sends it away.
    this.current = undefined;
    if (before) this.leaving.add(before.process);
    this.current = await this.launch(file, next, before).catch((error: unknown) => {
      if (before) this.leaving.delete(before.process);
      if (before?.process.running) this.current = before;
      throw error;
    });
    if (before) await this.untilLeft(before);
  }

  /** Ends every process at once, with its connections. */
  async stop(): Promise<void> {
    const all = [...this.leaving, ...(this.current ? [this.current.process] : [])];
    this.current = undefined;
    await Promise.all(all.map((one) => one.kill()));
  }

  private async launch(file: string, socket: string, before: Running | undefined): Promise<Running> {
    const takeOver = before ? ["-sf", String(before.process.pid), "-x", before.socket] : [];
    const process = await startProcess({
      name: "haproxy",
      command: this.program,
      args: ["-f", file, ...takeOver],
      logFile: join(this.directory, "haproxy.log"),
      ready: async () => (await showInfo(socket)) !== undefined,
      readyTimeout: 15_000,
      stopTimeout: 2000,
    });
    const running = { process, socket };
    void process.exited.then(({ code, signal }) => {
      if (this.current !== running) return;
      this.current = undefined;
      this.onLost(`exit code ${code ?? "none"}, signal ${signal ?? "none"}`);
    });
    return running;
  }

  private async untilLeft(old: Running): Promise<void> {
    void old.process.exited.then(() => this.leaving.delete(old.process));
    const deadline = Date.now() + handOverMilliseconds;
    while (old.process.running && Date.now() < deadline) {
      const info = await showInfo(old.socket);
      // A process that is leaving closes this socket like its others.
      if (info === undefined || /^Stopping: 1$/m.test(info)) return;
      await sleep(10);
    }
    if (!old.process.running) return;
    await old.process.kill();
    throw new SandboxError(
      "The outgoing HAProxy did not leave its listeners and was ended, with its connections.",
    );
  }
}

/** @returns the answer of `show info`; undefined when nobody listens on the socket. */
function showInfo(socket: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    let answer = "";
    const client = connect(socket, () => client.end("show info\n"));
    client.setTimeout(2000, () => client.destroy());
    client.on("data", (chunk: Buffer) => (answer += chunk.toString("utf8")));
    client.on("error", () => resolve(undefined));
    client.on("close", () => resolve(answer === "" ? undefined : answer));
  });
}
