import type { SandboxNamespace } from "../../../sandbox/namespace/inside";

/** The variable by which `inside.ts` hands the namespaces to Jest. */
export const namespaceVariable = "VPSIGHT_TEST_NAMESPACE";

/** The namespaces that this test runs in. @throws Error outside of `make test`. */
export function meshNamespace(): SandboxNamespace {
  const text = process.env[namespaceVariable];
  if (text === undefined) {
    throw new Error("The tests on the real control plane run inside namespaces of their own: `make test`.");
  }
  return JSON.parse(text) as SandboxNamespace;
}

/** For bringing up a platform, and for tests that deploy on it. */
export const minutes = (count: number) => count * 60_000;
