import { setTimeout as sleep } from "node:timers/promises";
import { errorText } from "./watch";
import type { PatchedPodStatus } from "./podStatus";

const retryMilliseconds = 500;

/** Sends a Pod's status whenever it is another one, one request at a time, until the API server has it. */
export class StatusReporter {
  private sent = "";
  private conditions: PatchedPodStatus["conditions"] = [];
  private sending: Promise<void> | undefined;
  private stopped = false;

  /**
   * @param compute the status now, given the conditions of the last one.
   * @param send resolves to false when the Pod no longer exists.
   */
  constructor(
    private readonly compute: (previous: PatchedPodStatus["conditions"]) => PatchedPodStatus,
    private readonly send: (status: PatchedPodStatus) => Promise<boolean>,
    private readonly log: (line: string) => void,
  ) {}

  changed(): void {
    this.sending ??= this.sendUntilCurrent().finally(() => (this.sending = undefined));
  }

  /** Resolves when the API server has the status of this moment. */
  async flush(): Promise<void> {
    await this.sending;
    this.changed();
    await this.sending;
  }

  stop(): void {
    this.stopped = true;
  }

  private async sendUntilCurrent(): Promise<void> {
    // One turn later: changes come in groups.
    await sleep(0);
    while (!this.stopped) {
      const status = this.compute(this.conditions);
      this.conditions = status.conditions;
      const text = JSON.stringify(status);
      if (text === this.sent) return;
      try {
        if (!(await this.send(status))) return this.stop();
        this.sent = text;
      } catch (error) {
        this.log(`could not report the status, trying again: ${errorText(error)}`);
        await sleep(retryMilliseconds);
      }
    }
  }
}
