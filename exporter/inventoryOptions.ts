import type { HttpSourceSettings } from "./identify/httpSource";

/** Flags about the management plane's inventory; all of them need the first. */
export const httpInventoryFlags = [
  "inventory-url",
  "inventory-token-file",
  "inventory-ca-file",
  "inventory-interval-seconds",
  "inventory-allow-http",
  "state-directory",
] as const;

type HttpInventoryFlag = (typeof httpInventoryFlags)[number];

/** Least and most seconds between two requests. */
export const inventoryInterval = { least: 5, most: 3_600, default: 30 } as const;

/** @returns undefined without `--inventory-url`, or when something is wrong with the flags; then the problems say what. */
export function readHttpInventory(
  values: ReadonlyMap<string, string>,
  problems: string[],
): HttpSourceSettings | undefined {
  const valueOf = (flag: HttpInventoryFlag) => values.get(flag);
  if (valueOf("inventory-url") === undefined) {
    const lonely = httpInventoryFlags.filter((flag) => values.has(flag));
    problems.push(...lonely.map((flag) => `--${flag}: must come with --inventory-url; got it alone`));
    return undefined;
  }
  const allowHttp = valueOf("inventory-allow-http") ?? "false";
  if (allowHttp !== "true" && allowHttp !== "false")
    problems.push(`--inventory-allow-http: must be true or false; got "${allowHttp}"`);
  const url = readUrl(valueOf("inventory-url") ?? "", allowHttp === "true", problems);
  const intervalSeconds = readInterval(valueOf("inventory-interval-seconds"), problems);
  const paths = {
    tokenFile: valueOf("inventory-token-file"),
    caFile: valueOf("inventory-ca-file"),
    stateDirectory: valueOf("state-directory"),
  };
  const given = Object.fromEntries(Object.entries(paths).filter(([, path]) => path !== undefined));
  return url === undefined ? undefined : { url, intervalSeconds, ...given };
}

/**
 * Says what a URL must be to be asked for the inventory; it is never quoted, since it may hold a secret.
 *
 * Plain http is refused but for this machine's own addresses, also inside a cluster: the token would travel in clear,
 * and whoever stands in between could rename the fleet. Where the network is trusted, `allowHttp` takes it all the same.
 * @returns undefined when it is so.
 */
export function describeUrlProblem(text: string, allowHttp: boolean): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) return "an https URL";
  if (url.username !== "" || url.password !== "") return "a URL without user and password";
  if (url.protocol === "http:" && !allowHttp && !isLoopback(url.hostname))
    return "an https URL, unless plain http is allowed explicitly";
  return undefined;
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}

function readUrl(text: string, allowHttp: boolean, problems: string[]): URL | undefined {
  const problem = describeUrlProblem(text, allowHttp);
  if (problem === undefined) return new URL(text);
  const hint = problem.includes("plain http") ? " (--inventory-allow-http=true)" : "";
  problems.push(`--inventory-url: must be ${problem}${hint}; its value is not shown`);
  return undefined;
}

function readInterval(text: string | undefined, problems: string[]): number {
  const { least, most } = inventoryInterval;
  const seconds = text === undefined ? inventoryInterval.default : /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (seconds < least || seconds > most)
    problems.push(
      `--inventory-interval-seconds: must be a whole number from ${least} to ${most}; got "${text ?? ""}"`,
    );
  return seconds;
}
