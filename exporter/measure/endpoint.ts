/**
 * The bounded names of Xboard's server API, in the order of the exposition. `other` is every other path,
 * so a caller cannot make new label values.
 */
export const endpoints = [
  "config",
  "user",
  "push",
  "alive",
  "alivelist",
  "status",
  "handshake",
  "report",
  "machine",
  "other",
] as const;

/** One of the bounded endpoint names. */
export type Endpoint = (typeof endpoints)[number];

const otherIndex = endpoints.indexOf("other");

/** What nodes call: XrayR and V2bX through `UniProxy`, new nodes without it, old panels' nodes by protocol. */
const uniProxyCalls = ["config", "user", "push", "alive", "alivelist", "status"] as const;
const nodeCalls = [...uniProxyCalls, "handshake", "report"] as const;

const table: readonly { readonly prefix: string; readonly calls: Readonly<Record<string, Endpoint>> }[] = [
  { prefix: "/api/v1/server/UniProxy/", calls: sameNames(uniProxyCalls) },
  { prefix: "/api/v2/server/", calls: { ...sameNames(nodeCalls), machine: "machine" } },
  // The controllers of v2board's days, which Xboard still has: traffic is sent with `submit`.
  { prefix: "/api/v1/server/ShadowsocksTidalab/", calls: { user: "user", submit: "push" } },
  { prefix: "/api/v1/server/TrojanTidalab/", calls: { config: "config", user: "user", submit: "push" } },
  { prefix: "/api/v1/server/Deepbwork/", calls: { config: "config", user: "user", submit: "push" } },
];

/** Everything below belongs to the machine that hosts nodes rather than to a node. */
const machinePrefix = "/api/v2/server/machine/";

/** Each path as nodes write it, so that most records need no more than this, and in lower case. */
const indexByPath = new Map<string, number>(
  table.flatMap(({ prefix, calls }) =>
    Object.entries(calls).flatMap(([call, endpoint]) => {
      const index = endpoints.indexOf(endpoint);
      return [[prefix + call, index] as const, [(prefix + call).toLowerCase(), index] as const];
    }),
  ),
);
const longestKnownPath = 128;

/**
 * The index (in `endpoints`) of the endpoint that a path means. Upper and lower case are the same: the
 * panel finds its controllers and methods by PHP's rules, which do not tell them apart.
 * @param path path of the request; a query string is cut off, should one be there against the contract.
 */
export function endpointIndex(path: string): number {
  const written = indexByPath.get(path);
  if (written !== undefined) return written;
  if (path.length > longestKnownPath) return otherIndex;
  const bare = path.toLowerCase().replace(/\?.*$/s, "").replace(/\/$/, "");
  return (
    indexByPath.get(bare) ?? (bare.startsWith(machinePrefix) ? endpoints.indexOf("machine") : otherIndex)
  );
}

function sameNames(calls: readonly Endpoint[]): Readonly<Record<string, Endpoint>> {
  return Object.fromEntries(calls.map((call) => [call, call]));
}
