import * as z from "zod/mini";

/** Which of Istio's two reporters the hop VPS -> gateway is told from. */
export const meshSides = ["auto", "source", "destination", "both"] as const;

/** One of the sides; `auto` is both up to a size of the fleet, and the source alone above it. */
export type MeshSides = (typeof meshSides)[number];

/** How the VPSes stand in Istio's standard series. Every text becomes a label's value and must not be empty. */
export interface MeshSettings {
  readonly sides: MeshSides;
  /** With `auto`: the largest fleet, in VPSes, that is told from both sides. */
  readonly bothUpTo: number;
  /** The empty namespace in which Kiali sees the VPSes. */
  readonly namespace: string;
  /** Kiali's name of the home cluster. */
  readonly cluster: string;
  /** What stands before the region in the name of a region's box. */
  readonly regionPrefix: string;
  /** The ingress gateway, exactly as its own series name it. */
  readonly gateway: {
    readonly namespace: string;
    readonly workload: string;
    readonly canonicalService: string;
    readonly canonicalRevision: string;
    /** The Service's full name. */
    readonly host: string;
    /** `unknown` keeps Kiali from drawing a service between VPS and gateway, which would hide each VPS's latency. */
    readonly serviceName: string;
  };
  /** Labels that Kiali's `query_scope` asks for. */
  readonly extraLabels: Readonly<Record<string, string>>;
  /** Show the callers outside the inventory, as one node. */
  readonly strangers: boolean;
  /** Serve the sums of bytes, too: Kiali's throughput labels. */
  readonly bytes: boolean;
}

const text = z.string({ error: "must be a text" }).check(z.minLength(1, { error: "must not be empty" }));
const flag = z.boolean({ error: "must be true or false" });

const shape = z.strictObject({
  sides: z.enum(meshSides, { error: `must be one of ${meshSides.join(", ")}` }),
  bothUpTo: z
    .int({ error: "must be a whole number from 0 up" })
    .check(z.gte(0, { error: "must be a whole number from 0 up" })),
  namespace: text,
  cluster: text,
  regionPrefix: text,
  gateway: z.strictObject({
    namespace: text,
    workload: text,
    canonicalService: text,
    canonicalRevision: text,
    host: text,
    serviceName: text,
  }),
  extraLabels: z.record(
    z.string().check(z.regex(/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/, { error: "must be a label name" })),
    text,
    { error: "must be a map of label names to texts" },
  ),
  strangers: flag,
  bytes: flag,
});

/**
 * Reads settings from JSON. There are no defaults here: whoever starts the exporter says everything.
 * @returns the settings, or every problem found as `field: must …`.
 */
export function parseMeshSettings(json: string): MeshSettings | string[] {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return ["must be JSON"];
  }
  const result = shape.safeParse(value);
  if (result.success) return result.data;
  return result.error.issues.map(({ path, message }) => `${path.join(".") || "document"}: ${message}`);
}
