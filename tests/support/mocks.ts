import * as pulumi from "@pulumi/pulumi";
import { getMonitor, type MockResourceArgs } from "@pulumi/pulumi/runtime";

/**
 * Pulumi without an engine: it records the exact inputs of each resource. What it does not show: parents,
 * dependsOn, protect, whether hooks run, and whether a cluster would take the objects; `tests/mesh/` shows the last on real parts.
 */
export interface Recorded {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
}

/** Runs a program against recorded mocks, in preview or not, and gives back what it registered, components left out. */
export async function record(program: () => void | Promise<unknown>): Promise<Recorded[]> {
  const recorded: Recorded[] = [];
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs, custom, id }: MockResourceArgs) => {
        if (custom) recorded.push({ type, name, inputs: inputs as Record<string, unknown> });
        return { id: id ?? `${name}-id`, state: inputs as Record<string, unknown> };
      },
      call: () => ({}),
    },
    "vpsight",
    "test",
  );
  // The SDK's mocks do not know hooks: here they are taken and never called.
  Object.assign(getMonitor() ?? {}, {
    registerResourceHook: (_request: unknown, done: (error: null, answer: object) => void) => done(null, {}),
  });
  await program();
  // Waits until everything the program registered has been answered.
  await pulumi.runtime.disconnect();
  return recorded;
}

/** The one resource with that name. */
export function only(recorded: Recorded[], name: string): Recorded {
  const found = recorded.filter((resource) => resource.name === name);
  const [resource] = found;
  if (found.length !== 1 || resource === undefined) {
    throw new Error(
      `expected one ${name}, found ${found.length} among ${recorded.map((each) => each.name).join(", ")}`,
    );
  }
  return resource;
}
