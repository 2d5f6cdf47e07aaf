import type { Registry } from "prom-client";
import { summarise } from "../identify/issue";
import type { Measurements } from "../measure/measurements";
import { version } from "../version";

/** One source of the inventory. */
interface SourceStatus {
  readonly name: string;
  /** Whether the last attempt to read it succeeded. */
  readonly ok: boolean;
  /** When it was last read and found right, as ISO 8601; null when never. */
  readonly lastSuccess: string | null;
  /** Seconds since then. */
  readonly ageSeconds: number | null;
  /** What was wrong last, whether or not it has been put right since; null when nothing was. It quotes nothing of the inventory. */
  readonly lastProblem: string | null;
}

/** What `/status` shows. All counts are since the start. */
export interface Status {
  readonly version: string;
  /** When this process started, as ISO 8601. */
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  /** What keeps it from being ready; empty when it is. */
  readonly notReady: readonly string[];
  readonly inventory: {
    /** How many inventories were put in force. */
    readonly generation: number;
    /** VPSes of the one in force. */
    readonly entries: number;
    readonly sources: readonly SourceStatus[];
  };
  readonly receiver: {
    /** Batches that were taken. */
    readonly batches: number;
    /** Batches that were not, by reason. */
    readonly rejected: Readonly<Record<string, number>>;
    /** Records by what became of them. */
    readonly records: Readonly<Record<string, number>>;
  };
  readonly unknown: {
    /** Requests of unknown callers, by why they have no name. */
    readonly requests: Readonly<Record<string, number>>;
    /** The most frequent unknown addresses; null when `--status-addresses` is off. */
    readonly talkers: TalkersStatus | null;
  };
}

interface TalkersStatus {
  /** Most that any `atMost` can be too high by. */
  readonly errorBound: number;
  /** At most 100, those with the highest `atLeast`; the one seen last first. */
  readonly list: readonly {
    /** IPv4 address, or IPv6 block of /64. */
    readonly address: string;
    /** Its requests are between these two. */
    readonly atLeast: number;
    readonly atMost: number;
    /** As ISO 8601. */
    readonly lastSeen: string;
  }[];
}

const prefix = "vpsight_exporter_";
const shownTalkers = 100;

/** Gathers what `/status` shows, from the exporter's own metrics where they have it. */
export class StatusReader {
  private readonly startedAt = Date.now();
  private readonly problems = new Map<string, string>();

  constructor(
    private readonly registry: Registry,
    private readonly measurements: Measurements,
  ) {}

  /** Keeps what was wrong with a source of the inventory. */
  noteProblem(source: string, error: Error): void {
    this.problems.set(source, summarise(error));
  }

  async read(notReady: readonly string[]): Promise<Status> {
    const now = Date.now();
    const lastSuccess = await this.valuesBy("inventory_last_success_timestamp_seconds", "source");
    const lastLoadOk = await this.valuesBy("inventory_last_load_ok", "source");
    return {
      version,
      startedAt: new Date(this.startedAt).toISOString(),
      uptimeSeconds: Math.round((now - this.startedAt) / 1_000),
      notReady,
      inventory: {
        generation: await this.value("inventory_generation"),
        entries: await this.value("inventory_entries"),
        sources: Object.entries(lastSuccess).map(([name, seconds]) => ({
          name,
          ok: lastLoadOk[name] === 1,
          lastSuccess: seconds === 0 ? null : toIso(seconds),
          ageSeconds: seconds === 0 ? null : Math.round(now / 1_000 - seconds),
          lastProblem: this.problems.get(name) ?? null,
        })),
      },
      receiver: {
        batches: await this.value("batches_total"),
        rejected: await this.valuesBy("batch_rejected_total", "reason"),
        records: await this.valuesBy("records_total", "result"),
      },
      unknown: {
        requests: await this.valuesBy("unknown_requests_total", "reason"),
        talkers: this.talkers(),
      },
    };
  }

  private talkers(): TalkersStatus | null {
    const { strangers } = this.measurements;
    if (strangers === undefined) return null;
    const list = strangers
      .list(shownTalkers)
      .map(({ lastSeenSeconds, ...talker }) => ({ ...talker, lastSeen: toIso(lastSeenSeconds) }));
    return { errorBound: strangers.errorBound, list };
  }

  private async value(name: string): Promise<number> {
    const found = await this.registry.getSingleMetric(prefix + name)?.get();
    return found?.values[0]?.value ?? 0;
  }

  /** The metric's values by one of its labels. */
  private async valuesBy(name: string, label: string): Promise<Record<string, number>> {
    const found = await this.registry.getSingleMetric(prefix + name)?.get();
    return Object.fromEntries(
      (found?.values ?? []).map(({ labels, value }) => [String(labels[label]), value]),
    );
  }
}

function toIso(seconds: number): string {
  return new Date(seconds * 1_000).toISOString();
}
