import { enterNamespace, type SandboxNamespace } from "../../../sandbox/namespace/inside";

/** The namespaces that this test runs in, set up by the first who asks. @throws SandboxError outside of `make test`. */
export const meshNamespace = (): Promise<SandboxNamespace> => enterNamespace();

/** For bringing up a platform, and for tests that deploy on it. */
export const minutes = (count: number) => count * 60_000;
