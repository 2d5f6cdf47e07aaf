import { readdirSync, readFileSync } from "node:fs";

/**
 * CPU time that a process has used so far, in microseconds: what the scheduler gave each of its threads
 * (`/proc/<pid>/task/…/schedstat`, nanoseconds). Threads that have ended are not in it; none of the measured programs
 * ends threads under load.
 */
export function cpuMicroseconds(pid: number): number {
  const tasks = `/proc/${pid}/task`;
  let nanoseconds = 0;
  for (const task of readdirSync(tasks)) {
    try {
      nanoseconds += Number(readFileSync(`${tasks}/${task}/schedstat`, "utf8").split(" ")[0]);
    } catch {
      // The thread ended between the two calls.
    }
  }
  return nanoseconds / 1e3;
}

/** Resident memory of a process in MiB. */
export const residentMiB = (pid: number) => memoryMiB(pid, "VmRSS");

/** The same at its highest so far. */
export const peakResidentMiB = (pid: number) => memoryMiB(pid, "VmHWM");

function memoryMiB(pid: number, name: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
  if (kibibytes === undefined) throw new RangeError(`process ${pid} has no ${name}`);
  return Number(kibibytes) / 1024;
}

/** The numbers of the cores that this process may use, lowest first. */
export function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s+(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
