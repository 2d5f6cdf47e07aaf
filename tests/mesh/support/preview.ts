import { spawn } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { Engine } from "../../../sandbox/engine";
import type { Platform } from "../../../sandbox/platform";

/** A preview in a process of its own, as a person at a terminal would see it: everything printed, and the exit code. */
export async function runPreview(
  { controlPlane }: Platform,
  config: Record<string, unknown>,
): Promise<{ code: number | null; output: string }> {
  const directory = mkdtempSync(path.join(tmpdir(), "preview-"));
  const options = { directory, kubeconfig: controlPlane.kubeconfigFile, config };
  const args = ["--import", require.resolve("tsx"), __filename, JSON.stringify(options)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, output: Buffer.concat(chunks).toString() };
}

async function main(options: Parameters<typeof Engine.open>[0]): Promise<void> {
  const engine = await Engine.open(options);
  await engine.preview();
}

if (require.main === module) {
  main(JSON.parse(process.argv[2] ?? "{}") as Parameters<typeof Engine.open>[0]).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
