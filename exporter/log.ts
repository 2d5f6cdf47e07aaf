/** One line per event, as JSON. What a record holds is never logged, nor is anything else from the wire. */
export interface Log {
  /** Something that went as it should. */
  info(event: string, details?: LogDetails): void;
  /** Something that a person should look at. */
  error(event: string, details?: LogDetails): void;
}

/** What belongs to an event. */
export type LogDetails = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** @param write takes one line with its line end; default standard output. */
export function createLog(write: (line: string) => void = (line) => process.stdout.write(line)): Log {
  const print = (level: string, event: string, details: LogDetails = {}) =>
    write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...details })}\n`);
  return {
    info: (event, details) => print("info", event, details),
    error: (event, details) => print("error", event, details),
  };
}
