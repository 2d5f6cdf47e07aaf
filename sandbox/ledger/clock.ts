/**
 * Milliseconds, with a fraction, of the kernel's monotonic clock. Every process on one kernel reads the same
 * clock (network namespaces do not change it), so a time of the fleet can be compared with one of a Pod;
 * `performance.now()` counts from each process's own start and cannot.
 */
export function monotonicMilliseconds(): number {
  return Number(process.hrtime.bigint()) / 1_000_000;
}
