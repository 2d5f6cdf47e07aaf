import { parseArgs } from "node:util";
import type { HttpSourceSettings } from "./identify/httpSource";
import { httpInventoryFlags, readHttpInventory } from "./inventoryOptions";
import type { MeshSettings } from "./measure/meshSettings";
import { parseMeshSettings } from "./measure/meshSettings";

/** An address to listen on. */
export interface ListenAddress {
  /** IPv4, or IPv6 without brackets; `::` takes IPv4 too. */
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** Mutual TLS on the OTLP port. */
export interface OtlpTlsOptions {
  /** PEM files; they are read again while the exporter runs. */
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly clientAuthorityFile: string;
  /** Names of which a client's certificate must carry one; empty: any of the authority. */
  readonly clientNames: readonly string[];
}

/** How the exporter was told to run. */
export interface ExporterOptions {
  /** Path of the inventory, YAML or JSON. No default; may be left out when `httpInventory` is there. */
  readonly inventoryFile?: string;
  /** The management plane's inventory. Default: none is asked for. */
  readonly httpInventory?: HttpSourceSettings;
  /** Where OTLP logs are taken over gRPC. Default `[::]:4317`. */
  readonly otlpListen: ListenAddress;
  /** Where metrics and health are served. Default `[::]:9464`. */
  readonly httpListen: ListenAddress;
  /** How long metrics stay up after SIGTERM, in seconds: one scrape interval and some. Default 35. */
  readonly drainSeconds: number;
  /** Largest message that is taken, in bytes after decompression. Default 4 MiB. */
  readonly maxMessageBytes: number;
  /** Serve `/metrics/mesh`, and how. Default: not. */
  readonly mesh?: MeshSettings | undefined;
  /** Default: plain text. */
  readonly otlpTls: OtlpTlsOptions | undefined;
  /** Whether `/status` names the addresses of unknown callers; when not, none are kept at all. Default true. */
  readonly statusAddresses: boolean;
}

/** Flags that cannot be used; the message lists every problem, one a line. */
export class OptionsError extends Error {
  override readonly name = "OptionsError";

  constructor(readonly problems: readonly string[]) {
    super(["Wrong options:", ...problems.map((problem) => `  ${problem}`), usage].join("\n"));
  }
}

/** The flags in short. */
export const usage = [
  "Usage: exporter --inventory-file <path> [--otlp-listen <address:port>] [--http-listen <address:port>]",
  "                [--drain-seconds <0-3600>] [--max-message-bytes <1024-67108864>] [--mesh <settings as JSON>]",
  "                [--inventory-url <URL> [--inventory-token-file <path>] [--inventory-ca-file <path>]",
  "                 [--inventory-interval-seconds <5-3600>] [--inventory-allow-http <true|false>]",
  "                 [--state-directory <path>]]",
  "                [--otlp-tls-certificate-file <path> --otlp-tls-key-file <path> --otlp-tls-client-ca-file <path>",
  "                 [--otlp-tls-client-names <name,name>]] [--status-addresses <on|off>]",
].join("\n");

const defaults = {
  "otlp-listen": "[::]:4317",
  "http-listen": "[::]:9464",
  "drain-seconds": "35",
  "max-message-bytes": String(4 * 1024 * 1024),
  "status-addresses": "on",
} as const;

const tlsFileFlags = ["otlp-tls-certificate-file", "otlp-tls-key-file", "otlp-tls-client-ca-file"] as const;
const flags = [
  "inventory-file",
  "otlp-listen",
  "http-listen",
  "drain-seconds",
  "max-message-bytes",
  ...httpInventoryFlags,
  "mesh",
  ...tlsFileFlags,
  "otlp-tls-client-names",
  "status-addresses",
] as const;
type Flag = (typeof flags)[number];

/**
 * Reads the command line, without the program's name.
 * @throws OptionsError
 */
export function parseOptions(args: readonly string[]): ExporterOptions {
  const problems: string[] = [];
  const values = readFlags(args, problems);
  const valueOf = (flag: keyof typeof defaults) => values.get(flag) ?? defaults[flag];
  const inventoryFile = values.get("inventory-file") ?? "";
  if (inventoryFile === "" && !values.has("inventory-url"))
    problems.push(
      "--inventory-file: must be the path of the inventory, unless there is an --inventory-url; got nothing",
    );
  const httpInventory = readHttpInventory(values, problems);
  const options: ExporterOptions = {
    ...(inventoryFile === "" ? {} : { inventoryFile }),
    ...(httpInventory === undefined ? {} : { httpInventory }),
    otlpListen: readAddress("otlp-listen", valueOf("otlp-listen"), problems),
    httpListen: readAddress("http-listen", valueOf("http-listen"), problems),
    drainSeconds: readInteger("drain-seconds", valueOf("drain-seconds"), 0, 3_600, problems),
    maxMessageBytes: readInteger(
      "max-message-bytes",
      valueOf("max-message-bytes"),
      1_024,
      64 * 1024 * 1024,
      problems,
    ),
    mesh: readMesh(values.get("mesh"), problems),
    otlpTls: readTls(values, problems),
    statusAddresses: readSwitch("status-addresses", valueOf("status-addresses"), problems),
  };
  const { otlpListen, httpListen } = options;
  if (otlpListen.port !== 0 && otlpListen.port === httpListen.port && otlpListen.host === httpListen.host) {
    problems.push(
      `--http-listen: must not be the address of --otlp-listen; got ${valueOf("http-listen")} for both`,
    );
  }
  if (problems.length > 0) throw new OptionsError(problems);
  return options;
}

/** Not parseArgs' own strictness, which stops at the first problem. */
function readFlags(args: readonly string[], problems: string[]): Map<Flag, string> {
  const { tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(flags.map((flag) => [flag, { type: "string" as const }])),
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<Flag, string>();
  for (const token of tokens) {
    if (token.kind === "positional") problems.push(`"${token.value}": must follow a flag; got it alone`);
    if (token.kind !== "option") continue;
    const flag = flags.find((known) => known === token.name);
    if (flag === undefined || !token.rawName.startsWith("--")) {
      problems.push(`${token.rawName}: must be one of ${flags.map((known) => `--${known}`).join(", ")}`);
    } else if (values.has(flag)) problems.push(`--${flag}: must be given once`);
    else if (token.value === undefined) problems.push(`--${flag}: must have a value; got nothing`);
    else values.set(flag, token.value);
  }
  return values;
}

/** All three files or none: half of TLS would be no protection that looks like one. */
function readTls(values: ReadonlyMap<Flag, string>, problems: string[]): OtlpTlsOptions | undefined {
  const names = values.get("otlp-tls-client-names");
  const missing = tlsFileFlags.filter((flag) => (values.get(flag) ?? "") === "");
  if (missing.length === tlsFileFlags.length && names === undefined) return undefined;
  for (const flag of missing)
    problems.push(`--${flag}: must be a path when another --otlp-tls flag is given; got nothing`);
  const clientNames = names?.split(",") ?? [];
  if (clientNames.some((name) => !/^[\x21-\x7e]+$/.test(name)))
    problems.push(`--otlp-tls-client-names: must be names separated by commas; got "${names ?? ""}"`);
  const [certificateFile = "", keyFile = "", clientAuthorityFile = ""] = tlsFileFlags.map((flag) =>
    values.get(flag),
  );
  return { certificateFile, keyFile, clientAuthorityFile, clientNames };
}

function readAddress(flag: Flag, text: string, problems: string[]): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:[\]]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3] ?? Number.NaN);
  const host = match?.[1] ?? match?.[2] ?? "";
  if (host !== "" && port <= 65_535) return { host, port };
  problems.push(
    `--${flag}: must be address:port with a port from 0 to 65535, IPv6 in brackets; got "${text}"`,
  );
  return { host: "", port: 0 };
}

function readMesh(json: string | undefined, problems: string[]): MeshSettings | undefined {
  if (json === undefined) return undefined;
  const settings = parseMeshSettings(json);
  if (!Array.isArray(settings)) return settings;
  problems.push(...settings.map((problem) => `--mesh: ${problem}`));
  return undefined;
}

function readInteger(flag: Flag, text: string, least: number, most: number, problems: string[]): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  problems.push(`--${flag}: must be a whole number from ${least} to ${most}; got "${text}"`);
  return least;
}

function readSwitch(flag: Flag, text: string, problems: string[]): boolean {
  if (text !== "on" && text !== "off") problems.push(`--${flag}: must be on or off; got "${text}"`);
  return text === "on";
}
