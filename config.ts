import { readFileSync } from "node:fs";
import * as path from "node:path";
import * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { crossProblems } from "./configChecks";
import { configSchema, type ConfigValues } from "./configSchema";
import { InventoryError, parseInventory, type Vps } from "./exporter/identify/inventory";
import { describeIssue, shorten } from "./exporter/identify/issue";

/** Everything a stack decides, checked and with its defaults filled in. */
export type Config = ConfigValues & {
  fleet: {
    /** The inventory file's text as it goes into the ConfigMap; it has been parsed once and is valid. */
    text: string | undefined;
    /** What it holds; empty without one. */
    vps: readonly Vps[];
    /** How many VPSes those are. */
    size: number;
    /** The text of `http.caFile`. */
    authorities: string | undefined;
  };
};

/** Lists every problem of a stack's config at once, one sentence a line. */
export class ConfigError extends pulumi.RunError {
  constructor(
    stack: string,
    readonly problems: readonly string[],
  ) {
    const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
    super(`The config of stack ${stack} has ${count}; nothing was changed.\n  ${problems.join("\n  ")}`);
  }
}

/** Where a config comes from: what error messages name, and what relative paths start from. */
export interface ConfigSource {
  /** Every value the engine holds, keyed `project:key`; structured values are JSON text. */
  values: Readonly<Record<string, string>>;
  /** Whether a value, named `project:key`, holds a secret. */
  isSecret: (key: string) => boolean;
  project: string;
  stack: string;
  /** The folder of `Pulumi.yaml`. */
  directory: string;
}

/**
 * Reads the running stack's config: the only reader there is.
 * @throws ConfigError with every problem, before any resource is registered.
 */
export function readConfig(): Config {
  return parseConfig({
    values: pulumi.runtime.allConfig(),
    isSecret,
    project: pulumi.getProject(),
    stack: pulumi.getStack(),
    directory: __dirname,
  });
}

/** The SDK has this function, but leaves it out of its types. */
function isSecret(key: string): boolean {
  const ask: unknown = Reflect.get(pulumi.runtime, "isConfigSecret");
  return typeof ask === "function" && Reflect.apply(ask, undefined, [key]) === true;
}

/**
 * Checks a stack's config and fills in its defaults.
 * @throws ConfigError with every problem of the config and of the inventory it names.
 */
export function parseConfig(source: ConfigSource): Config {
  const fix = `Set it in Pulumi.${source.stack}.yaml.`;
  const { document, problems } = parseValues(source, fix);
  const result = configSchema.safeParse(document, { reportInput: true });
  problems.push(...(result.error?.issues ?? []).flatMap((issue) => describe(issue, fix)));
  // The engine writes plain config into the stack's history, whatever becomes of it afterwards.
  if (result.data?.fleet.http?.token !== undefined && !source.isSecret(`${source.project}:fleet`))
    problems.push(
      "fleet.http.token: must be a secret; got plain text. " +
        "Set it with `pulumi config set --path vpsight:fleet.http.token --secret`.",
    );
  const fleet = readFleet(document, source.directory, fix, problems);
  if (result.success && fleet !== undefined)
    problems.push(...crossProblems(result.data, fleet.vps).map((problem) => `${problem}. ${fix}`));
  if (problems.length > 0 || !result.success || fleet === undefined)
    throw new ConfigError(source.stack, problems);
  return { ...result.data, fleet: { ...result.data.fleet, ...fleet } };
}

/** The project's keys as one document; values of other namespaces (`aws:region`) are not ours to judge. */
function parseValues(source: ConfigSource, fix: string) {
  const document: Record<string, unknown> = {};
  const problems: string[] = [];
  const prefix = `${source.project}:`;
  for (const [key, text] of Object.entries(source.values)) {
    if (!key.startsWith(prefix)) continue;
    const name = key.slice(prefix.length);
    try {
      document[name] = JSON.parse(text);
    } catch {
      problems.push(`${name}: must be a map or a list; got ${shorten(text)}. ${fix}`);
    }
  }
  return { document, problems };
}

/** Reads the files that the fleet's section names, as far as it can be read itself. */
function readFleet(document: Record<string, unknown>, directory: string, fix: string, problems: string[]) {
  const names = z.object({
    fleet: z.object({
      file: z.string().min(1).optional().catch(undefined),
      http: z
        .object({ caFile: z.string().min(1).optional() })
        .optional()
        .catch(undefined),
    }),
  });
  const named = names.safeParse(document);
  if (!named.success) return undefined; // the schema has said so already
  const { file, http } = named.data.fleet;
  const read = (property: string, name: string) => {
    try {
      return readFileSync(path.resolve(directory, name), "utf8");
    } catch (error) {
      problems.push(`${property}: must be a readable file; got ${shorten(name)} (${reason(error)}). ${fix}`);
      return undefined;
    }
  };
  const text = file === undefined ? undefined : read("fleet.file", file);
  const authorities = http?.caFile === undefined ? undefined : read("fleet.http.caFile", http.caFile);
  if (authorities !== undefined && !authorities.includes("-----BEGIN CERTIFICATE-----"))
    problems.push(`fleet.http.caFile: must hold certificates in PEM; got none. ${fix}`);
  const vps = text === undefined ? [] : readVps(text, file ?? "", problems);
  return { text, authorities, vps, size: vps.length };
}

function readVps(text: string, file: string, problems: string[]): readonly Vps[] {
  try {
    return parseInventory(text, file).vps;
  } catch (error) {
    if (!(error instanceof InventoryError)) throw error;
    problems.push(...error.issues.map((issue) => `${file}: ${describeIssue(issue)}. Fix it there.`));
    return [];
  }
}

function reason(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : String(error);
}

/** Properties that hold a secret, or may. */
const unshown: readonly string[] = ["fleet.http.token", "fleet.http.url"];

/** `property: must be X; got Y. Where to fix it.` */
function describe(issue: z.core.$ZodIssue, fix: string): string[] {
  const at = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  const property = at.replace(/^\./, "");
  if (issue.code === "unrecognized_keys") {
    const prefix = property === "" ? "" : `${property}.`;
    return issue.keys.map((key) => `${prefix}${key}: is not a known property; ${issue.message}. ${fix}`);
  }
  const got = unshown.includes(property) ? "a value that is not shown here" : shorten(inputOf(issue));
  return [`${property}: must be ${issue.message}; got ${got}. ${fix}`];
}

/** For a property that decides about the others' shape, the library gives the map around it. */
function inputOf({ code, input, path: at }: z.core.$ZodIssue): unknown {
  const key = at.at(-1);
  if (code !== "invalid_union" || typeof input !== "object" || input === null) return input;
  return new Map<PropertyKey | undefined, unknown>(Object.entries(input)).get(key);
}
