import { z } from "zod";
import { meshSides } from "../exporter/measure/meshSettings";
import { dnsLabel, flag, integer, labelValue, labels, section } from "./fields";

/** None that the series have already. */
const scopeLabel = z
  .string()
  .regex(
    /^(?!__|source_|destination_|response_|(reporter|request_protocol|connection_security_policy|le)$)[a-zA-Z_]\w*$/,
    {
      error: "a label name that is none of Istio's own",
    },
  );

/** Each VPS as a node of its own in Kiali's graph. See docs/kiali.md for why each label has its value. */
export const kiali = section({
  /** Default: true. The series are extra ones of `istio_requests_total`: totals without a selector count them, too. */
  enabled: flag.default(true),
  /** The empty namespace that Kiali shows the VPSes in. Default: edge-nodes. */
  namespace: dnsLabel.default("edge-nodes"),
  /** Make that namespace, or use one that stands already. Default: true. */
  createNamespace: flag.default(true),
  /** Labels of the namespace: those that the mesh's discoverySelectors ask for. Default: none. */
  namespaceLabels: labels.default({}),
  /** Kiali's name of its home cluster: istiod's CLUSTER_ID. Default: Kubernetes. */
  cluster: labelValue.default("Kubernetes"),
  /** Who reports the hop: source, destination, both, or auto (default): both up to `bothUpTo`, source above it. */
  sides: z.enum(meshSides, { error: `one of ${meshSides.join(", ")}` }).default("auto"),
  /** With auto: the largest fleet that is reported from both sides. Default: 300. */
  bothUpTo: integer(0, 100_000).default(300),
  /** A region's box is called this and the region. Default: edge-. */
  regionPrefix: z
    .string({ error: "the beginning of a DNS label such as edge-" })
    .regex(/^[a-z0-9][-a-z0-9]{0,31}$/, { error: "the beginning of a DNS label such as edge-" })
    .default("edge-"),
  /** The gateway as its own series name it. */
  gateway: section({
    /** Default: the name in `gateway.service`. */
    workload: labelValue.optional(),
    /** Default: the workload's name. */
    canonicalService: labelValue.optional(),
    /** Default: latest. */
    canonicalRevision: labelValue.default("latest"),
    /** Default: unknown, without which Kiali would show one VPS's latency for all. */
    serviceName: labelValue.default("unknown"),
  }).prefault({}),
  /** Labels and values of Kiali's `query_scope`. Default: none. */
  queryScope: z.record(scopeLabel, labelValue, { error: "a map of label names to values" }).default({}),
  /** Show callers outside the inventory, as one node. Default: false. */
  strangers: flag.default(false),
  /** Serve bytes, too, for throughput on the edges. Default: false. */
  bytes: flag.default(false),
  /** A WorkloadGroup and a WorkloadEntry per VPS: silent ones stay, with a page. Default: false. */
  workloads: flag.default(false),
}).prefault({});
