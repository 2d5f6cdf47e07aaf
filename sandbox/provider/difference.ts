import { annotation, annotations, nameOf, namespaceOf } from "./objects";
import { isProperties, propertiesAt, scalarText, textAt, type Properties, type Value } from "./values";

export type Path = readonly (string | number)[];

/** One place where the wanted object differs from the last known one. */
export interface Change {
  readonly path: Path;
  readonly kind: "add" | "delete" | "update";
  /** The object has to be made anew for it. */
  readonly replace: boolean;
}

/** What {@link compareObjects} finds. */
export interface Comparison {
  readonly changes: Change[];
  /** The old object has to go first, since the new one carries the same name. */
  readonly deleteBeforeReplace: boolean;
}

/** The provider's options that decide between an update and a replacement. */
export interface ReplacementOptions {
  readonly patch: boolean;
  readonly configMapMutable: boolean;
  readonly secretMutable: boolean;
}

/**
 * Compares the inputs an object was last applied with and the wanted ones, leaf by leaf; list items by their place.
 * Both without secrets' wrapping. What is not known yet counts as changed.
 */
export function compareObjects(old: Properties, wanted: Properties, options: ReplacementOptions): Comparison {
  const rules = replacementRules(wanted, options);
  const changes: Change[] = [];
  compare([], old, wanted, (path, kind, before, after) => {
    const value = kind === "delete" ? before : after;
    changes.push({ path, kind, replace: rules.some((rule) => touches(rule, path, value)) });
  });
  const sameIdentity = nameOf(old) === nameOf(wanted) && namespaceOf(old) === namespaceOf(wanted);
  const autonamed = annotation(wanted, annotations.autonamed) === "true";
  return {
    changes,
    deleteBeforeReplace:
      changes.some((change) => change.replace) && sameIdentity && !autonamed && nameOf(wanted) !== "",
  };
}

/** A path as the engine writes it: `spec.ports[0].name`, `data["a.json"]`. */
export function formatPath(path: Path): string {
  let text = "";
  for (const segment of path) {
    if (typeof segment === "number") text += `[${segment}]`;
    else if (/[."[\]]/.test(segment)) text += `["${segment.replaceAll('"', '\\"')}"]`;
    else text += text === "" ? segment : `.${segment}`;
  }
  return text;
}

type Report = (path: Path, kind: Change["kind"], before: Value, after: Value) => void;

function compare(path: Path, before: Value, after: Value, report: Report): void {
  if (isProperties(before) && isProperties(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compareEntry([...path, key], before[key], after[key], report);
    }
  } else if (Array.isArray(before) && Array.isArray(after)) {
    for (let index = 0; index < Math.max(before.length, after.length); index++) {
      compareEntry([...path, index], before[index], after[index], report);
    }
  } else if (before !== after) {
    report(path, "update", before, after);
  }
}

function compareEntry(path: Path, before: Value | undefined, after: Value | undefined, report: Report): void {
  if (before === undefined) report(path, "add", null, after ?? null);
  else if (after === undefined) report(path, "delete", before, null);
  else compare(path, before, after, report);
}

const identityRules: readonly Path[] = [
  ["metadata", "name"],
  ["metadata", "namespace"],
];

/**
 * The kinds a platform like this deploys; the official provider's table has more (Pod, Job, PersistentVolume).
 * Immutable in the API: https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#label-selector-updates
 */
const immutableFields: Readonly<Record<string, readonly Path[]>> = {
  "apps/v1/Deployment": [["spec", "selector"]],
  "apps/v1/DaemonSet": [["spec", "selector"]],
  "apps/v1/StatefulSet": [
    ["spec", "podManagementPolicy"],
    ["spec", "selector"],
    ["spec", "serviceName"],
    ["spec", "volumeClaimTemplates"],
  ],
  "batch/v1/Job": [
    ["spec", "selector"],
    ["spec", "template"],
  ],
  "rbac.authorization.k8s.io/v1/ClusterRoleBinding": [["roleRef"]],
  "rbac.authorization.k8s.io/v1/RoleBinding": [["roleRef"]],
  "v1/Service": [["spec", "clusterIP"]],
};

function replacementRules(wanted: Properties, options: ReplacementOptions): readonly Path[] {
  // A patch lets go of single fields and takes others, so only another object means another resource.
  if (options.patch) return identityRules;
  const kind = `${textAt(wanted, "apiVersion")}/${textAt(wanted, "kind")}`;
  const frozen = wanted["immutable"] === true;
  if (kind === "v1/ConfigMap") {
    const data = frozen || !options.configMapMutable ? [["data"], ["binaryData"]] : [];
    return [...identityRules, ...data];
  }
  if (kind === "v1/Secret") {
    const data = frozen || !options.secretMutable ? [["data"], ["stringData"]] : [];
    return [...identityRules, ["type"], ...data];
  }
  return [...identityRules, ...(immutableFields[kind] ?? [])];
}

/** Whether a change at `path` reaches the field: it lies within it, or contains it. */
function touches(field: Path, path: Path, value: Value): boolean {
  const shared = Math.min(field.length, path.length);
  for (let index = 0; index < shared; index++) if (field[index] !== path[index]) return false;
  let inner: Value | undefined = value;
  for (const key of field.slice(path.length)) {
    if (!isProperties(inner)) return false;
    inner = inner[String(key)];
  }
  return inner !== undefined;
}

/**
 * The live object cut down to what the inputs name, so that a refresh shows drift of our fields and nothing else.
 * A value that only reads differently (`0.5` and `500m`, an empty list the server leaves out) stays as the inputs have it.
 */
export function pruneLive(live: Properties, inputs: Properties): Properties {
  const pruned = pruneBag(live, inputs, []);
  const readable = { ...pruned };
  if (textAt(inputs, "kind") === "Secret" && isProperties(inputs["stringData"])) {
    // The server takes `stringData` and answers with `data`.
    readable["stringData"] = decodeLike(propertiesAt(live, "data"), inputs["stringData"]);
  }
  return readable;
}

function decodeLike(data: Properties, wanted: Properties): Properties {
  const decoded: Properties = {};
  for (const key of Object.keys(wanted)) {
    const value = data[key];
    if (typeof value === "string") decoded[key] = Buffer.from(value, "base64").toString("utf8");
  }
  return decoded;
}

function pruneBag(live: Properties, inputs: Properties, path: Path): Properties {
  const bag: Properties = {};
  for (const [key, wanted] of Object.entries(inputs)) {
    const found = live[key];
    if (found !== undefined) bag[key] = pruneValue(found, wanted, [...path, key]);
    else if (isEmpty(wanted)) bag[key] = wanted;
  }
  return bag;
}

function pruneValue(live: Value, wanted: Value, path: Path): Value {
  if (isProperties(live) && isProperties(wanted)) return pruneBag(live, wanted, path);
  if (Array.isArray(live) && Array.isArray(wanted)) {
    if (live.length !== wanted.length) return live;
    return live.map((item, index) => pruneValue(item, wanted[index] ?? null, [...path, index]));
  }
  return sameQuantity(live, wanted, path) ? wanted : live;
}

function isEmpty(value: Value): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (isProperties(value)) return Object.values(value).every(isEmpty);
  return value === "" || value === false || value === 0;
}

const quantityFields = new Set(["limits", "requests", "sizeLimit", "averageValue", "storage", "divisor"]);
const quantitySuffixes: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
};

function sameQuantity(live: Value, wanted: Value, path: Path): boolean {
  if (!path.some((segment) => typeof segment === "string" && quantityFields.has(segment))) return false;
  const first = parseQuantity(live);
  const second = parseQuantity(wanted);
  if (first === undefined || second === undefined) return false;
  return Math.abs(first - second) <= Math.abs(first) * 1e-12;
}

function parseQuantity(value: Value): number | undefined {
  const match = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$/.exec(scalarText(value));
  const factor = quantitySuffixes[match?.[2] ?? "?"];
  return match === null || factor === undefined ? undefined : Number(match[1]) * factor;
}
