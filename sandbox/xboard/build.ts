import { join } from "node:path";
import { build } from "esbuild";

/**
 * Bundles the Xboard stand-in into one CommonJS file that any Node >= 22 runs without node_modules.
 * @param outfile path of the file, e.g. `<run>/xboard.cjs`.
 */
export async function buildXboard(outfile: string): Promise<void> {
  await build({
    entryPoints: [join(__dirname, "main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    target: "node22",
    format: "cjs",
    logLevel: "error",
  });
}
