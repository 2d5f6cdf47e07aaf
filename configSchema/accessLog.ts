import { z } from "zod";
import { flag, integer, pathPrefix, seconds, section } from "./fields";

/** What the gateway logs, and how it ships it. */
export const accessLog = section({
  /** Requests outside these paths are not logged. Default: Xboard's server APIs. */
  pathPrefixes: z
    .array(pathPrefix, { error: "a list of path prefixes" })
    .min(1, { error: "a list of at least one path prefix" })
    .default(["/api/v1/server/", "/api/v2/server/"]),
  /** Also write JSON lines to the gateway's stdout. Default: true. */
  stdout: flag.default(true),
  /** A batch is sent at this size; a larger one costs the gateway less per record. Default: 65536. */
  bufferBytes: integer(1024, 1048576).default(65536),
  /** … or at this age. Default: 1s. */
  flushInterval: seconds.default("1s"),
  /**
   * How often a batch is tried again while the exporter is away. Default: 60, for outages of up to a minute.
   * Before try n Envoy waits a random time up to min(0.25 s x 2^(n-1), 5 s), on average half of that: 3.9 s for the first
   * five, 2.5 s for each further one. So 60 tries last 141 s on average with a deviation of 11 s, and of the first batches
   * in a minute without an exporter and 30 s until it is back one in a million is lost; with 20 tries (41 s, 6 s)
   * two in five were after 40 s.
   */
  retries: integer(0, 1000).default(60),
  /** Where records go. Default: the exporter. Another Service, such as that of a tier of Collectors (docs/scaling.md). */
  receiver: section({
    /** The Service's full name, such as otel-collector.observability.svc.cluster.local. */
    host: z
      .string({ error: "a Service's full name such as otel-collector.observability.svc.cluster.local" })
      .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, {
        error: "a Service's full name such as otel-collector.observability.svc.cluster.local",
      }),
    /** Its OTLP port, which must be named grpc-…; default 4317. */
    port: integer(1, 65535).default(4317),
  }).optional(),
}).prefault({});
