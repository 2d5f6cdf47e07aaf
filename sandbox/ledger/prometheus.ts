import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { SandboxError } from "../error";
import type { BucketCount } from "./latency";
import type { SeriesCount } from "./ledger";
import type { Reconciliation } from "./reconcile";
import { reconcile } from "./reconcile";

/** One element of an instant vector. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  /** Prometheus sends text, so that NaN and infinities survive JSON; here it is a number again. */
  readonly value: number;
}

/** One series with its samples as they were scraped, oldest first. */
export interface SampledSeries {
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds since 1970, and the value. */
  readonly samples: readonly (readonly [time: number, value: number])[];
}

/** Requests by the compared labels, over all replicas of the exporter. */
export const requestsQuery = "sum by (vps, region, endpoint, method, code) (vps_requests_total)";

/** Cumulative duration buckets, over all replicas of the exporter. */
export const bucketsQuery = "sum by (vps, region, endpoint, le) (vps_request_duration_seconds_bucket)";

const answerShape = z.object({
  status: z.literal("success"),
  data: z.object({
    resultType: z.literal("vector"),
    result: z.array(
      z.object({ metric: z.record(z.string(), z.string()), value: z.tuple([z.number(), z.string()]) }),
    ),
  }),
});

const rangesShape = z.object({
  status: z.literal("success"),
  data: z.object({
    resultType: z.literal("matrix"),
    result: z.array(
      z.object({
        metric: z.record(z.string(), z.string()),
        values: z.array(z.tuple([z.number(), z.string()])),
      }),
    ),
  }),
});

const failureShape = z.object({ status: z.literal("error"), error: z.string() });

/** What of Prometheus' HTTP API the sandbox needs. https://prometheus.io/docs/prometheus/latest/querying/api/ */
export class PrometheusClient {
  /**
   * @param url base address, e.g. `http://10.244.0.1:9090`.
   * @param timeoutMilliseconds for one query; default 10,000.
   */
  constructor(
    private readonly url: string,
    private readonly timeoutMilliseconds = 10_000,
  ) {}

  /**
   * Evaluates an expression.
   * @param atSeconds as of when, seconds since 1970; default now.
   * @throws {SandboxError} when Prometheus cannot be reached, refuses the expression, or gives no instant vector.
   */
  async query(expression: string, atSeconds?: number): Promise<Sample[]> {
    const body: unknown = await this.ask(expression, atSeconds);
    const answer = answerShape.safeParse(body);
    if (!answer.success) {
      const failure = failureShape.safeParse(body);
      const reason = failure.success ? failure.data.error : "its answer is not an instant vector";
      throw new SandboxError(`Prometheus at ${this.url} could not answer "${expression}": ${reason}.`);
    }
    return answer.data.data.result.map(({ metric, value: [, text] }) => ({
      labels: metric,
      value: toNumber(text),
    }));
  }

  /**
   * The samples of a range selector such as `up[5m]`, those of targets that are gone included.
   * @throws {SandboxError} as `query` does.
   */
  async ranges(selector: string): Promise<SampledSeries[]> {
    const answer = rangesShape.safeParse(await this.ask(selector));
    if (!answer.success)
      throw new SandboxError(`Prometheus at ${this.url} gives no range for "${selector}".`);
    return answer.data.data.result.map(({ metric, values }) => ({
      labels: metric,
      samples: values.map(([time, text]) => [time, toNumber(text)] as const),
    }));
  }

  /** Counts per series; those at 0 included. */
  async requestCounts(expression = requestsQuery): Promise<SeriesCount[]> {
    const samples = await this.query(expression);
    return samples.map(({ labels, value }) => ({
      vps: labels["vps"] ?? "",
      region: labels["region"] ?? "",
      endpoint: labels["endpoint"] ?? "",
      method: labels["method"] ?? "",
      code: labels["code"] ?? "",
      count: value,
    }));
  }

  /** The duration histogram's buckets. */
  async bucketCounts(expression = bucketsQuery): Promise<BucketCount[]> {
    const samples = await this.query(expression);
    return samples.map(({ labels, value }) => ({
      vps: labels["vps"] ?? "",
      region: labels["region"] ?? "",
      endpoint: labels["endpoint"] ?? "",
      le: toNumber(labels["le"] ?? ""),
      count: value,
    }));
  }

  private async ask(expression: string, atSeconds?: number): Promise<unknown> {
    const url = new URL("/api/v1/query", this.url);
    url.searchParams.set("query", expression);
    if (atSeconds !== undefined) url.searchParams.set("time", String(atSeconds));
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(this.timeoutMilliseconds) });
      return await response.json();
    } catch (error) {
      throw new SandboxError(`Prometheus at ${this.url} does not answer (${reasonOf(error)}); see its log.`);
    }
  }
}

/** How long to wait for the counts. */
export interface WaitOptions {
  /** Give up after this long; default 60,000. */
  readonly deadlineMilliseconds?: number;
  /** Between two looks; default 500. */
  readonly intervalMilliseconds?: number;
  /**
   * Once the counts are complete, look again after this long: whatever arrives late was counted twice or
   * was never sent, and a look at the first moment of equality would miss it. Default 3,000.
   */
  readonly settleMilliseconds?: number;
  /** Called after each look. */
  readonly progress?: (reconciliation: Reconciliation) => void;
}

/**
 * Reads the counts until they equal the ledger's and stay so, or the deadline passes. A read that fails
 * counts as one more look, so that Prometheus may be restarting meanwhile.
 *
 * @param read gives Prometheus' counts, e.g. `() => prometheus.requestCounts()`.
 * @returns the last comparison, complete or not.
 * @throws what `read` threw last, when no look at all succeeded.
 */
export async function waitForCounts(
  ledger: readonly SeriesCount[],
  read: () => Promise<readonly SeriesCount[]>,
  options: WaitOptions = {},
): Promise<Reconciliation> {
  const deadline = Date.now() + (options.deadlineMilliseconds ?? 60_000);
  let last: Reconciliation | undefined;
  let failure: unknown;
  for (;;) {
    try {
      last = reconcile(ledger, await read());
      options.progress?.(last);
      if (last.complete) {
        await sleep(options.settleMilliseconds ?? 3_000);
        last = reconcile(ledger, await read());
        options.progress?.(last);
        if (last.complete) return last;
      }
    } catch (error) {
      failure = error;
    }
    if (Date.now() >= deadline) break;
    await sleep(Math.min(options.intervalMilliseconds ?? 500, Math.max(0, deadline - Date.now())));
  }
  if (last !== undefined) return last;
  throw failure;
}

function toNumber(text: string): number {
  if (text === "+Inf" || text === "Inf") return Infinity;
  return text === "-Inf" ? -Infinity : Number(text);
}

/** `fetch failed` says nothing; its cause does. By shape, because Node's errors are of another realm inside Jest. */
function reasonOf(error: unknown): string {
  if (typeof error !== "object" || error === null || !("message" in error)) return String(error);
  return "cause" in error && error.cause !== undefined ? reasonOf(error.cause) : String(error.message);
}
