import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { LedgerEntry, PanelRequest, SeriesCount } from "../../sandbox/ledger";
import {
  bracketLatencies,
  checkLatency,
  describeLatencyProblem,
  differenceTable,
  Ledger,
  PrometheusClient,
  reconcile,
  reconciliationLine,
  waitForCounts,
} from "../../sandbox/ledger";

const jp = { vps: "jp-001", region: "jp" };

function series(changes: Partial<SeriesCount> = {}): SeriesCount {
  return { ...jp, endpoint: "config", method: "GET", code: "304", count: 10, ...changes };
}

function entry(changes: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    ...{ ...jp, endpoint: "config", method: "GET", code: 200, nodeId: "11", attempt: 1, finished: true },
    ...{ startMilliseconds: 1_000, endMilliseconds: 1_020, requestBytes: 0, responseBytes: 100 },
    ...changes,
  };
}

function panelRequest(changes: Partial<PanelRequest> = {}): PanelRequest {
  return {
    ...{ nodeId: "11", endpoint: "config", method: "GET", aborted: false },
    ...{ startMilliseconds: 1_005, endMilliseconds: 1_012 },
    ...changes,
  };
}

describe("the ledger", () => {
  it("counts by who, what and what came back", () => {
    const ledger = new Ledger();
    ledger.record(entry());
    ledger.record(entry({ nodeId: "12", attempt: 2 }));
    ledger.record(entry({ code: 0, finished: false }));
    ledger.record(entry({ vps: "hk-001", region: "hk", endpoint: "push", method: "POST" }));
    expect(ledger.total).toBe(4);
    expect(ledger.counts()).toEqual([
      { vps: "hk-001", region: "hk", endpoint: "push", method: "POST", code: "200", count: 1 },
      series({ code: "0", count: 1 }),
      series({ code: "200", count: 2 }),
    ]);
  });

  it("keeps counts alone when the run has no end", () => {
    const ledger = new Ledger({ keepEntries: false });
    for (let turn = 0; turn < 1_500; turn += 1) {
      ledger.record(entry());
      ledger.recordOutOfScope({ from: "203.0.113.200", method: "GET", path: "/", code: 200 });
    }
    expect(ledger.entries).toEqual([]);
    expect(ledger.counts()).toEqual([series({ code: "200", count: 1_500 })]);
    expect(ledger.outOfScope).toHaveLength(1_000);
  });

  it("sorts durations, floored to milliseconds, into buckets", () => {
    const ledger = new Ledger();
    for (const duration of [4.9, 5, 5.9, 6, 250]) {
      ledger.record(entry({ startMilliseconds: 0, endMilliseconds: duration }));
    }
    expect(ledger.histograms([0.005, 0.1])).toEqual([
      { ...jp, endpoint: "config", count: 5, cumulative: [3, 4] },
    ]);
  });
});

describe("reconcile", () => {
  it("is complete when every series agrees, and zeros are nothing", () => {
    const result = reconcile([series()], [series(), series({ code: "500", count: 0 })]);
    expect(result).toEqual({
      matched: 10,
      sent: 10,
      lost: 0,
      misattributed: 0,
      complete: true,
      differences: [],
    });
    expect(reconciliationLine(result)).toBe("reconciled: 10 of 10 requests, 0 lost, 0 misattributed");
    expect(differenceTable(result)).toBe("");
  });

  it("calls requests that are counted nowhere lost", () => {
    const result = reconcile([series()], [series({ count: 7 })]);
    expect(result).toMatchObject({ matched: 7, sent: 10, lost: 3, misattributed: 0, complete: false });
  });

  it.each<[string, Partial<SeriesCount>]>([
    ["vps", { vps: "jp-002" }],
    ["region", { region: "hk" }],
    ["endpoint", { endpoint: "user" }],
    ["method", { method: "POST" }],
    ["code", { code: "200" }],
    ["vps and region", { vps: "unknown", region: "unknown" }],
  ])("calls a request under the wrong %s misattributed, not lost", (_, wrong) => {
    const result = reconcile([series()], [series({ count: 8 }), series({ ...wrong, count: 2 })]);
    expect(result).toMatchObject({ matched: 8, sent: 10, lost: 0, misattributed: 2, complete: false });
    expect(result.differences).toHaveLength(2);
  });

  it("does not let two VPSes that were swapped cancel out", () => {
    const other = { vps: "jp-002", count: 4 };
    const result = reconcile(
      [series(), series(other)],
      [series({ count: 4 }), series({ ...other, count: 10 })],
    );
    expect(result).toMatchObject({ matched: 8, sent: 14, lost: 0, misattributed: 6 });
  });

  it("calls a request that was counted twice, or never sent in scope, misattributed", () => {
    expect(reconcile([series()], [series({ count: 11 })])).toMatchObject({
      matched: 10,
      lost: 0,
      misattributed: 1,
    });
    expect(reconcile([], [series({ endpoint: "other", count: 3 })])).toMatchObject({
      ...{ matched: 0, sent: 0, lost: 0, misattributed: 3, complete: false },
    });
  });

  it("splits what is missing between misattributed and lost", () => {
    const result = reconcile([series()], [series({ count: 5 }), series({ vps: "jp-002", count: 2 })]);
    expect(reconciliationLine(result)).toBe("reconciled: 5 of 10 requests, 3 lost, 2 misattributed");
    expect(differenceTable(result)).toBe(
      [
        "VPS     REGION  ENDPOINT  METHOD  CODE  SENT  COUNTED  DIFFERENCE",
        "jp-001  jp      config    GET     304     10        5          -5",
        "jp-002  jp      config    GET     304      0        2          +2",
      ].join("\n"),
    );
  });

  it("adds up series that come in parts", () => {
    expect(reconcile([series()], [series({ count: 4 }), series({ count: 6 })]).complete).toBe(true);
  });

  it.each([Number.NaN, -1, 2.5])("refuses a count of %p", (count) => {
    expect(() => reconcile([series()], [series({ count })])).toThrow(RangeError);
  });
});

describe("checkLatency", () => {
  const bucket = (le: number, count: number, changes = {}) => ({
    ...jp,
    endpoint: "config",
    le,
    count,
    ...changes,
  });

  it("brackets an answered request by the panel's time and the client's", () => {
    expect(bracketLatencies([entry()], [panelRequest()])).toEqual([
      { ...jp, endpoint: "config", leastMilliseconds: 7, mostMilliseconds: 20 },
    ]);
  });

  it("brackets a request that was given up by one end's start and the other's end", () => {
    const givenUp = entry({ code: 0, finished: false, endMilliseconds: 1_800 });
    const aborted = panelRequest({ aborted: true, endMilliseconds: 1_803 });
    expect(bracketLatencies([givenUp], [aborted])).toEqual([
      { ...jp, endpoint: "config", leastMilliseconds: 795, mostMilliseconds: 803 },
    ]);
  });

  it("takes the loosest bound where several of the panel's requests fit, and none where none does", () => {
    const long = entry({ endMilliseconds: 1_100 });
    const requests = [panelRequest(), panelRequest({ startMilliseconds: 1_030, endMilliseconds: 1_090 })];
    expect(bracketLatencies([long], requests)[0]).toMatchObject({
      leastMilliseconds: 7,
      mostMilliseconds: 100,
    });
    const elsewhere = [panelRequest({ nodeId: "12" }), panelRequest({ endpoint: "user" })];
    expect(bracketLatencies([entry()], elsewhere)[0]).toMatchObject({
      leastMilliseconds: 0,
      mostMilliseconds: 20,
    });
    const lost = entry({ code: 0, finished: false });
    expect(bracketLatencies([lost], [])[0]).toMatchObject({
      leastMilliseconds: 0,
      mostMilliseconds: Infinity,
    });
  });

  it("finds every request inside its bracket, and says which buckets were pinned", () => {
    // Least 7, most 20: only the bucket of 10 ms leaves a choice.
    for (const inTen of [0, 1]) {
      const buckets = [bucket(0.005, 0), bucket(0.01, inTen), bucket(0.025, 1), bucket(Infinity, 1)];
      expect(checkLatency([entry()], [panelRequest()], buckets)).toEqual({
        checked: 4,
        pinned: 3,
        problems: [],
      });
    }
  });

  it("finds a count that is too high, too low, or of nobody", () => {
    const buckets = [
      ...[bucket(0.005, 1), bucket(0.01, 1), bucket(0.025, 0), bucket(Infinity, 1)],
      bucket(0.025, 1, { vps: "jp-002" }),
    ];
    const { problems } = checkLatency([entry()], [panelRequest()], buckets);
    expect(problems.map(describeLatencyProblem)).toEqual([
      "jp-001 config le=0.005: 1 requests counted, at least 0 and at most 0 are possible",
      "jp-001 config le=0.025: 0 requests counted, at least 1 and at most 1 are possible",
      "jp-002 config le=0.025: 1 requests counted, at least 0 and at most 0 are possible",
    ]);
  });

  it("finds a request without any bucket", () => {
    expect(checkLatency([entry()], [panelRequest()], []).problems).toEqual([
      { ...jp, endpoint: "config", le: Infinity, count: 0, atLeast: 1, atMost: 1 },
    ]);
  });

  it("compares floors, as Envoy counts: 25.9 ms is inside a bound of 25 ms", () => {
    const exact = [entry({ endMilliseconds: 1_025.9 })];
    const panel = [panelRequest({ startMilliseconds: 1_000.1, endMilliseconds: 1_025.8 })];
    const buckets = (inside: number) => [bucket(0.025, inside), bucket(Infinity, 1)];
    expect(checkLatency(exact, panel, buckets(1)).problems).toEqual([]);
    expect(checkLatency(exact, panel, buckets(0)).problems).toHaveLength(1);
  });
});

describe("the Prometheus client", () => {
  let server: Server;
  let url: string;
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const queries: string[] = [];

  beforeAll(async () => {
    server = createServer((request, response) => {
      queries.push(new URL(request.url ?? "", "http://x").searchParams.get("query") ?? "");
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterAll(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const reply =
    (value: unknown, status = 200) =>
    (_: IncomingMessage, response: ServerResponse) => {
      response.writeHead(status, { "content-type": "application/json" });
      response.end(JSON.stringify(value));
    };
  const vector = (...result: unknown[]) => ({ status: "success", data: { resultType: "vector", result } });

  it("reads counts and buckets as numbers", async () => {
    const { count, ...labels } = series({ count: 12 });
    answer = reply(vector({ metric: labels, value: [1_700_000_000.1, String(count)] }));
    expect(await new PrometheusClient(url).requestCounts()).toEqual([series({ count: 12 })]);
    expect(queries.at(-1)).toBe("sum by (vps, region, endpoint, method, code) (vps_requests_total)");
    answer = reply(vector({ metric: { ...jp, endpoint: "user", le: "+Inf" }, value: [1, "3"] }));
    expect(await new PrometheusClient(url).bucketCounts()).toEqual([
      { ...jp, endpoint: "user", le: Infinity, count: 3 },
    ]);
  });

  it("says in one sentence what is wrong", async () => {
    answer = reply({ status: "error", errorType: "bad_data", error: "parse error" }, 400);
    await expect(new PrometheusClient(url).query("sum(")).rejects.toThrow(
      `Prometheus at ${url} could not answer "sum(": parse error.`,
    );
    answer = reply({ status: "success", data: { resultType: "matrix", result: [] } });
    await expect(new PrometheusClient(url).query("up[1m]")).rejects.toThrow("is not an instant vector");
    await expect(new PrometheusClient("http://127.0.0.1:1").query("up")).rejects.toThrow(
      /^Prometheus at http:\/\/127\.0\.0\.1:1 does not answer \(.*(ECONNREFUSED|bad port).*\); see its log\.$/,
    );
  });
});

describe("waitForCounts", () => {
  const fast = { intervalMilliseconds: 5, settleMilliseconds: 10, deadlineMilliseconds: 200 };

  it("waits until the counts are complete", async () => {
    let looks = 0;
    const result = await waitForCounts(
      [series()],
      async () => [series({ count: Math.min(10, ++looks * 3) })],
      fast,
    );
    expect(result.complete).toBe(true);
    expect(looks).toBe(5);
  });

  it("looks once more after they are: what comes late was counted twice", async () => {
    let looks = 0;
    const result = await waitForCounts(
      [series()],
      async () => [series({ count: looks++ === 0 ? 10 : 11 })],
      fast,
    );
    expect(result).toMatchObject({ complete: false, misattributed: 1 });
  });

  it("gives the last comparison when time is up", async () => {
    const seen: number[] = [];
    const options = { ...fast, progress: ({ matched }: { matched: number }) => seen.push(matched) };
    const result = await waitForCounts([series()], async () => [series({ count: 4 })], options);
    expect(result).toMatchObject({ matched: 4, lost: 6 });
    expect(seen.length).toBeGreaterThan(3);
  });

  it("outlives a Prometheus that is restarting, and reports one that never comes", async () => {
    let looks = 0;
    const read = async () => {
      if (++looks < 4) throw new Error("down");
      return [series()];
    };
    expect((await waitForCounts([series()], read, fast)).complete).toBe(true);
    const never = () => Promise.reject(new Error("down"));
    await expect(waitForCounts([series()], never, fast)).rejects.toThrow("down");
  });
});
