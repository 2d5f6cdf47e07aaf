import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as path from "node:path";
import { SandboxError } from "../sandbox/error";
import { launch } from "../sandbox/namespace/launch";
import { partsDirectory } from "../sandbox/parts/find";
import { announceProvider } from "../sandbox/provider";

/**
 * Runs every test: the unit tests here, those on the real control plane inside namespaces of their own, one
 * file after the other, since each brings up a platform. The last line is `N passed, N failed`.
 */
const root = path.join(__dirname, "..");
const jest = [process.execPath, path.join(root, "node_modules/jest/bin/jest.js")];

interface Counts {
  passed: number;
  failed: number;
}

/** What Jest counted; a file that could not run counts as one failed test, and so does a run without a result. */
function read(outputFile: string): Counts {
  try {
    const result = JSON.parse(readFileSync(outputFile, "utf8")) as {
      numPassedTests: number;
      numFailedTests: number;
      numRuntimeErrorTestSuites: number;
    };
    return {
      passed: result.numPassedTests,
      failed: result.numFailedTests + result.numRuntimeErrorTestSuites,
    };
  } catch {
    return { passed: 0, failed: 1 };
  }
}

async function main(): Promise<number> {
  const patterns = process.argv.slice(2);
  const directory = mkdtempSync(path.join(tmpdir(), "vpsight-tests-"));
  try {
    const unit = path.join(directory, "unit.json");
    const mesh = path.join(directory, "mesh.json");
    const flags = (project: string, output: string) => [
      ...patterns,
      "--selectProjects",
      project,
      "--passWithNoTests",
      "--json",
      "--outputFile",
      output,
    ];
    const [command = "", ...rest] = jest;
    spawnSync(command, [...rest, ...flags("unit", unit)], {
      cwd: root,
      stdio: ["ignore", "ignore", "inherit"],
    });
    await announceProvider();
    await launch({
      program: [...jest, ...flags("mesh", mesh), "--runInBand", "--verbose"],
      logDirectory: path.join(partsDirectory(), "logs", "test"),
    });
    const counts = [read(unit), read(mesh)];
    const passed = counts.reduce((sum, count) => sum + count.passed, 0);
    const failed = counts.reduce((sum, count) => sum + count.failed, 0);
    process.stdout.write(`${passed} passed, ${failed} failed\n`);
    return failed === 0 && passed > 0 ? 0 : 1;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof SandboxError ? error.message : String(error)}\n`);
    process.stdout.write("0 passed, 1 failed\n");
    process.exit(1);
  },
);
