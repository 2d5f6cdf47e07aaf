/**
 * Flags of Node that the exporter runs with. Text of callers outside the inventory is the only thing that is made anew for
 * each record; with V8's default of 16 MiB per half, a flood of them alone would grow the young generation by some 40 MiB.
 * https://nodejs.org/api/cli.html#--max-semi-space-sizesize-in-mib
 */
export const nodeFlags = ["--max-semi-space-size=2"] as const;
