import { endpoints } from "../../exporter/measure/endpoint";
import type { Inventory } from "../../exporter/identify/inventory";
import type { Ledger } from "../ledger/ledger";

/** Codes that the scenario must have met at least once. */
const expectedCodes = [0, 200, 304, 400, 404, 422, 500, 503] as const;

/**
 * Whether a scenario really did what it is for: a run in which nothing got through would reconcile, too.
 * @returns what is missing, one sentence each; empty when nothing is.
 */
export function checkCoverage(ledger: Ledger, inventory: Inventory): string[] {
  const { entries } = ledger;
  const problems: string[] = [];
  const vpses = new Set(entries.map(({ vps }) => vps));
  const silent = [...inventory.vps.map(({ name }) => name), "unknown"].filter((name) => !vpses.has(name));
  if (silent.length > 0) problems.push(`no request of ${silent.join(", ")} went out`);
  const called = new Set(entries.map(({ endpoint }) => endpoint));
  const uncalled = endpoints.filter((endpoint) => !called.has(endpoint));
  if (uncalled.length > 0) problems.push(`nobody called ${uncalled.join(", ")}`);
  const codes = new Set(entries.map(({ code }) => code));
  const unmet = expectedCodes.filter((code) => !codes.has(code));
  if (unmet.length > 0) problems.push(`no request met the code ${unmet.join(", ")}`);
  const pages = ledger.outOfScope.filter(({ code }) => code === 200).length;
  if (pages === 0) problems.push("no panel user got a page");
  if (ledger.forgedConnections.length === 0) problems.push("no PROXY header was forged");
  const accepted = ledger.forgedConnections.filter(({ outcome }) => outcome === "accepted");
  if (accepted.length > 0) problems.push(`${accepted.length} connections with a forged PROXY header were accepted`);
  if (ledger.transportErrors.length > 0) {
    const reasons = [...new Set(ledger.transportErrors.map(({ reason }) => reason))].join(", ");
    problems.push(`${ledger.transportErrors.length} tries found no connection (${reasons})`);
  }
  return problems;
}
