import type { Endpoint } from "./endpoint";
import { endpoints } from "./endpoint";

/** The bounded values of the label `method`. */
export const methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"] as const;

/** One of the bounded methods. */
export type Method = (typeof methods)[number];

const otherMethod = methods.length - 1;
const methodIndexes = new Map<string, number>(
  methods.slice(0, otherMethod).map((method, index) => [method, index]),
);

/** The index (in `methods`) of a method as sent; methods are case-sensitive (RFC 9110, 9.1). */
export function methodIndex(method: string): number {
  return methodIndexes.get(method) ?? otherMethod;
}

/** The code of a request as the label `code` shows it: 100 to 599, or 0 when there was no answer. */
export function boundedCode(code: number | undefined): number {
  return code !== undefined && Number.isInteger(code) && code >= 100 && code <= 599 ? code : 0;
}

const codeSpan = 600;

/**
 * What came of a request, as one number: endpoint, method and code. There are fewer than 48,000, whatever
 * callers send.
 */
export type Outcome = number;

/** Every outcome is below this. */
export const outcomeCount = endpoints.length * methods.length * codeSpan;

/** @param code from `boundedCode`. */
export function outcomeOf(endpoint: number, method: number, code: number): Outcome {
  return (endpoint * methods.length + method) * codeSpan + code;
}

/** The outcome's code alone. */
export function codeOf(outcome: Outcome): number {
  return outcome % codeSpan;
}

/** Index (in `endpoints`) of the outcome's endpoint. */
export function endpointOf(outcome: Outcome): number {
  return Math.floor(outcome / codeSpan / methods.length);
}

/** The outcome's labels as the exposition writes them: `endpoint="config",method="GET",code="304"`. */
export function renderOutcome(outcome: Outcome): string {
  const code = codeOf(outcome);
  const method = Math.floor(outcome / codeSpan) % methods.length;
  return `endpoint="${endpoints[endpointOf(outcome)] ?? "other"}",method="${methods[method] ?? "other"}",code="${code}"`;
}

/**
 * The endpoints that every node calls, and what they answer in ordinary operation and in the panel's known
 * faults. Their series exist from the moment a VPS enters the inventory, because `rate()` cannot see the
 * first request of a series that springs up at 1; all other series appear with their first request.
 */
export const expectedOutcomes: readonly {
  readonly endpoint: Endpoint;
  readonly method: Method;
  readonly codes: readonly number[];
}[] = [
  // 200 and 304 are the healthy answers; 400 (unknown node) and 422 (wrong token) are the panel's refusals, both 500 in
  // older panels; 503 is maintenance, or a gateway without a healthy panel; 0 is a caller that gave up waiting.
  { endpoint: "config", method: "GET", codes: [200, 304, 400, 422, 500, 503, 0] },
  { endpoint: "user", method: "GET", codes: [200, 304, 400, 422, 500, 503, 0] },
  // Traffic reports are not cached: no 304. 422 is a body that the panel cannot read, too.
  { endpoint: "push", method: "POST", codes: [200, 400, 422, 500, 503, 0] },
];
