/**
 * A small and strict reader of Prometheus' text format 0.0.4, written from its description alone, so that
 * it shares nothing with the exporter's writer.
 */

/** One line of an exposition. */
export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** What an exposition holds. */
export interface Exposition {
  readonly samples: readonly Sample[];
  /** Type of each family, by its name. */
  readonly types: ReadonlyMap<string, string>;
}

/** @throws Error for anything that Prometheus would refuse or that the format's rules forbid. */
export function parseExposition(text: string): Exposition {
  if (!text.endsWith("\n")) throw new Error("the last line has no line end");
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  const seen = new Set<string>();
  const finished = new Set<string>();
  let current = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.*)$/.exec(line);
    if (line === "" || (line.startsWith("#") && comment === null)) continue;
    if (comment !== null) {
      const [, kind = "", name = "", rest = ""] = comment;
      if (name !== current) finished.add(current);
      current = name;
      if (finished.has(name)) throw new Error(`family ${name} is torn apart`);
      if (kind === "TYPE") {
        if (types.has(name)) throw new Error(`second TYPE of ${name}`);
        types.set(name, rest);
      }
      continue;
    }
    const sample = parseLine(line);
    const histogram = types.get(current) === "histogram" || types.get(current) === "summary";
    const family = histogram ? sample.name.replace(/_(bucket|sum|count)$/, "") : sample.name;
    if (family !== current) throw new Error(`${sample.name} stands in family ${current}`);
    const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
    if (seen.has(key)) throw new Error(`series twice: ${line}`);
    seen.add(key);
    samples.push(sample);
  }
  return { samples, types };
}

function parseLine(line: string): Sample {
  const head = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{|[ ])/.exec(line);
  if (head === null) throw new Error(`not a sample: ${line}`);
  const [, name = "", opener] = head;
  const labels: Record<string, string> = {};
  let position = name.length;
  if (opener === "{") {
    position += 1;
    while (line[position] !== "}") {
      const label = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(,?)/.exec(line.slice(position));
      if (label === null) throw new Error(`wrong labels: ${line}`);
      const [whole, key = "", raw = ""] = label;
      if (key in labels) throw new Error(`label twice: ${line}`);
      labels[key] = raw.replace(/\\(.)/g, (_all, char: string) => (char === "n" ? "\n" : char));
      position += whole.length;
    }
    position += 1;
  }
  // Go reads NaN in any case, and prom-client writes "Nan".
  const value = / ([0-9.eE+-]+|[Nn]a[Nn]|[+-]Inf)$/.exec(line.slice(position));
  if (value === null || value.index !== 0) throw new Error(`wrong value: ${line}`);
  const number = Number((value[1] ?? "").replace("Inf", "Infinity").replace("Nan", "NaN"));
  return { name, labels, value: number };
}

/** The value of the one sample with this name and (at least) these labels; undefined when there is none. */
export function valueOf(
  exposition: Exposition,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number | undefined {
  const found = select(exposition, name, labels);
  if (found.length > 1) throw new Error(`${found.length} series match ${name} ${JSON.stringify(labels)}`);
  return found[0]?.value;
}

/** All samples with this name and (at least) these labels. */
export function select(
  exposition: Exposition,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Sample[] {
  return exposition.samples.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value),
  );
}

/** Values of all matching samples added up. */
export function sumOf(
  exposition: Exposition,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  return select(exposition, name, labels).reduce((sum, { value }) => sum + value, 0);
}
