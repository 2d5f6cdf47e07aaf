// The small build of zod: the exporter's bundle has to fit a ConfigMap.
import * as z from "zod/mini";
import { parseRange } from "./address";

/** The one name (of a VPS and of a region) that stands for every caller outside the inventory. */
export const unknownName = "unknown";

const dnsLabel = `must be a DNS label (1 to 63 of a-z, 0-9 and "-", with a letter or digit at both ends)`;
const dnsLabelPattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const nodeId = `must be a string of 1 to 64 letters, digits, "-", "_" or "." (numbers in quotes: "12")`;
const labelName = `must be a Prometheus label name (a letter or "_", then letters, digits or "_"; not starting with "__")`;
const labelValue = "must be a string of at most 128 characters without control characters";
const plainText = /^[^\u0000-\u001f\u007f]*$/;
const vpsKeys = "name, region, addresses, nodeIds, provider, labels, state";
const states = ["active", "paused", "retired"] as const;

/** A DNS label that is not the reserved word. */
const label = z.string({ error: dnsLabel }).check(
  z.regex(dnsLabelPattern, { error: dnsLabel }),
  z.refine((name) => name !== unknownName, {
    error: `must not be "${unknownName}", which stands for callers outside the inventory`,
  }),
);

const address = z
  .string({
    error: "must be a string: an IPv4 or IPv6 address or a CIDR block (in quotes when YAML needs them)",
  })
  .check((context) => {
    const range = parseRange(context.value);
    if (typeof range === "string")
      context.issues.push({ code: "custom", input: context.value, message: range });
  });

const addresses = z
  .array(address, { error: "must be a list of addresses" })
  .check(
    z.minLength(1, { error: "must hold at least one address" }),
    z.maxLength(256, { error: "must hold at most 256 addresses; use CIDR blocks" }),
  );

const nodeIds = z
  .array(z.string({ error: nodeId }).check(z.regex(/^[\w.-]{1,64}$/, { error: nodeId })), {
    error: "must be a list of strings",
  })
  .check(
    z.maxLength(256, { error: "must hold at most 256 node ids" }),
    z.refine((ids) => new Set(ids).size === ids.length, { error: "must not name a node id twice" }),
  );

const value = z
  .string({ error: labelValue })
  .check(z.maxLength(128, { error: labelValue }), z.regex(plainText, { error: labelValue }));

const labels = z
  .record(z.string().check(z.regex(/^(?!__)[a-zA-Z_][a-zA-Z0-9_]{0,62}$/, { error: labelName })), value, {
    error: (issue) => (issue.code === "invalid_key" ? labelName : "must be a map of label names to strings"),
  })
  .check(z.refine((map) => Object.keys(map).length <= 16, { error: "must hold at most 16 labels" }));

const vps = z.strictObject(
  {
    name: label,
    region: label,
    addresses,
    nodeIds: z._default(nodeIds, []),
    provider: z._default(value, ""),
    labels: z._default(labels, {}),
    state: z._default(z.enum(states, { error: `must be one of ${states.join(", ")}` }), "active"),
  },
  {
    error: ({ code }) =>
      code === "unrecognized_keys"
        ? `must be one of ${vpsKeys}`
        : `must be an object with some of the keys ${vpsKeys}`,
  },
);

/** The document's shape; its messages say what is allowed and are shown after the place. */
export const inventoryShape = z.strictObject(
  {
    vps: z
      .array(vps, { error: "must be a list of VPSes" })
      .check(z.maxLength(100_000, { error: "must hold at most 100,000 VPSes" })),
  },
  {
    error: ({ code }) =>
      code === "unrecognized_keys" ? 'must be "vps"' : 'must be an object with the one key "vps"',
  },
);
