import { SandboxError } from "./error";
import { enterNamespace, type SandboxNamespace } from "./namespace/inside";
import { startPlatform, type Platform, type PlatformOptions } from "./platform";

/**
 * Runs one program on the platform: sets up, runs, and ends everything in order, whether it finished, failed or
 * was told to stop (SIGTERM from the launcher, on Ctrl-C).
 *
 * @param run gets a signal that is aborted when it shall stop; its result is the exit code.
 */
export function runOnPlatform(
  options: PlatformOptions,
  run: (platform: Platform, namespace: SandboxNamespace, signal: AbortSignal) => Promise<number>,
): void {
  const stopping = new AbortController();
  process.once("SIGTERM", () => stopping.abort());
  const work = async () => {
    const namespace = await enterNamespace();
    const platform = await startPlatform(namespace, options);
    const failure = platform.controlPlane.failed.then(({ message }) => {
      throw new SandboxError(message);
    });
    try {
      return await Promise.race([run(platform, namespace, stopping.signal), failure]);
    } finally {
      await platform.stop();
    }
  };
  const aborted = new Promise<number>((resolve) => {
    // During set-up there is nothing to end in order: the kernel clears up when this process ends.
    stopping.signal.addEventListener("abort", () => setTimeout(() => resolve(130), 12_000).unref());
  });
  Promise.race([work(), aborted]).then(
    (code) => process.exit(code),
    (error: unknown) => {
      const expected = error instanceof SandboxError;
      process.stderr.write(
        `\n${expected ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
      );
      process.exit(1);
    },
  );
}
