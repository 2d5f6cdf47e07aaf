import { meshNamespace } from "./namespace";

/** Each file may be the first to run in the namespaces: until they are set up, not even loopback is there. */
beforeAll(() => meshNamespace());
