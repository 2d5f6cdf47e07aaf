import { z } from "zod";
import { dnsLabel, duration, flag, integer, labels, section } from "./fields";

/** How Prometheus finds the exporter. */
export const monitoring = section({
  /** A ServiceMonitor for the Prometheus Operator (default), or scrape annotations on the pods. */
  discovery: z
    .enum(["serviceMonitor", "annotations"], { error: "serviceMonitor or annotations" })
    .default("serviceMonitor"),
  /** Labels of the ServiceMonitor. Default: release: kube-prometheus-stack, since that chart ignores objects without it. */
  labels: labels.default({ release: "kube-prometheus-stack" }),
  /** Default: 15s. */
  scrapeInterval: duration.default("15s"),
  /** The namespace Prometheus runs in; only it may reach the metrics port. Default: monitoring. */
  prometheusNamespace: dnsLabel.default("monitoring"),
  /** Labels of Prometheus' pods; {} for every pod of its namespace. Default: app.kubernetes.io/name: prometheus. */
  prometheusSelector: labels.default({ "app.kubernetes.io/name": "prometheus" }),
}).prefault({});

const shareError = "a number above 0 and below 1";
const share = z.number({ error: shareError }).gt(0, { error: shareError }).lt(1, { error: shareError });
/** The histogram's last bound is 30 s. */
const latencyError = "a number from 0.01 to 30";

/** Recording rules and alerts; needs the Prometheus Operator, as `discovery: serviceMonitor` does. */
export const rules = section({
  /** Default: true. */
  enabled: flag.default(true),
  /** Where docs/runbooks can be read: each alert links to its page below. Default: the folder's path. */
  runbookUrl: z
    .string({ error: "an address without a slash at its end" })
    .regex(/^\S+[^\s/]$/, { error: "an address without a slash at its end" })
    .default("docs/runbooks"),
  /**
   * A selector of the counter that says how many requests there should be, such as
   * istio_requests_total{reporter="source",destination_service_name="server-api"}. Default: the gateway's log counters.
   */
  expectedRequests: z
    .string({ error: "a PromQL selector" })
    .regex(/^[a-zA-Z_:][\w:]*(\{.*\})?$/, { error: "a PromQL selector such as istio_requests_total{…}" })
    .optional(),
  /** Seconds without a request after which a VPS is silent. Default: 300. */
  silentSeconds: integer(120, 86_400).default(300),
  /** Share of failed requests in 15 minutes above which a VPS fails. Default: 0.2. */
  errorRatio: share.default(0.2),
  /** Seconds, p95 over 15 minutes, above which a VPS waits too long. Default: 2. */
  latencySeconds: z
    .number({ error: latencyError })
    .min(0.01, { error: latencyError })
    .max(30, { error: latencyError })
    .default(2),
  /** Share of a region's requests that are to succeed; its error budget is the rest. Default: 0.99. */
  objective: share.default(0.99),
  /** A PodMonitor for the gateway's log counters on port 15090; false if something scrapes them already. Default: true. */
  gatewayMonitor: flag.default(true),
}).prefault({});
