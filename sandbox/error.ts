/**
 * A failure that a person can act on. Its message is one or two plain sentences (what failed, what was
 * found, what to do) and is printed as it is, without a stack trace; the exit code is then 1.
 */
export class SandboxError extends Error {
  override readonly name = "SandboxError";
}
