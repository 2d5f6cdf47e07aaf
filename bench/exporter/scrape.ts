import { get } from "node:http";

/** One scrape as the scraper saw it. */
export interface Scrape {
  /** From the request to the answer's last byte. */
  readonly seconds: number;
  /** Bytes on the wire. */
  readonly bytes: number;
  /** The answer's beginning, where the exporter's own figures are, unless it was compressed. */
  readonly head: string;
}

/** Scrapes, taking the bytes as fast as they come and not unpacking them. */
export function scrape(port: number, compressed: boolean): Promise<Scrape> {
  const started = performance.now();
  const headers = compressed ? { "Accept-Encoding": "gzip" } : {};
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port, path: "/metrics", headers }, (response) => {
      let bytes = 0;
      let head = "";
      response.on("data", (piece: Buffer) => {
        bytes += piece.length;
        if (!compressed && head.length < 32_768) head += piece.toString("latin1");
      });
      response.on("end", () => resolve({ seconds: (performance.now() - started) / 1_000, bytes, head }));
      response.on("error", reject);
    });
    request.on("error", reject);
  });
}

/** The exporter's longest event-loop delay since the scrape before, from a scrape's head. */
export function longestStallMs({ head }: Scrape): number {
  const found = /^vpsight_exporter_nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(head);
  return Number(found?.[1] ?? Number.NaN) * 1_000;
}
