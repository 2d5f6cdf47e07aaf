import { LineCounter, parseDocument } from "yaml";
import { InventoryError } from "./issue";

/** Largest inventory, in characters of the parser and in bytes on the wire: 10,000 VPSes take about 1.2 million. */
export const maxInventoryLength = 8 * 1024 * 1024;

/** YAML allows no control characters but tab and line ends (https://yaml.org/spec/1.2.2/#51-character-set), JSON none either. */
const controlCharacter = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/;

/**
 * The document as plain values, whatever they are.
 * @throws InventoryError when it is no YAML or JSON, or more than one VPS fleet can need.
 */
export function readDocument(text: string, source: string): unknown {
  const refuse = (field: string, got: string, allowed: string) =>
    new InventoryError(source, [{ field, got, allowed }]);
  if (text.length > maxInventoryLength) {
    throw refuse("", `${text.length} characters`, `must have at most ${maxInventoryLength} characters`);
  }
  const control = controlCharacter.exec(text);
  if (control !== null) {
    const before = text.slice(0, control.index).split("\n");
    const place = `line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}`;
    const code = control[0].charCodeAt(0).toString(16).padStart(2, "0");
    throw refuse(place, `the character 0x${code}`, "must hold no control characters");
  }
  try {
    return readJson(text) ?? readYaml(text, source);
  } catch (error) {
    if (error instanceof InventoryError) throw error;
    // The parser calls itself for each level: some thousand levels end its stack.
    if (error instanceof RangeError) throw refuse("", "nesting without end", "must be nested less deeply");
    const reason = error instanceof Error ? error.message : String(error);
    throw refuse("", reason, "must be YAML or JSON without nested aliases");
  }
}

/**
 * JSON is YAML too, but JSON.parse takes a thirtieth of the time. It is not believed when it may have dropped a key that
 * was written twice; that and whatever it cannot read is for the YAML parser, which says where it is wrong.
 */
function readJson(text: string): unknown {
  if (!/^\s*\{/.test(text)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return keysKept(value) === keysWritten(text) ? value : undefined;
}

function keysKept(value: unknown): number {
  const open: unknown[] = [value];
  let keys = 0;
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next !== "object" || next === null) continue;
    const values: unknown[] = Object.values(next);
    if (!Array.isArray(next)) keys += values.length;
    for (const each of values) open.push(each);
  }
  return keys;
}

/** @param text right JSON. */
function keysWritten(text: string): number {
  let keys = 0;
  for (let start = text.indexOf('"'); start >= 0;) {
    let end = text.indexOf('"', start + 1);
    while (isEscaped(text, end)) end = text.indexOf('"', end + 1);
    let after = end + 1;
    while (/\s/.test(text.charAt(after))) after += 1;
    if (text[after] === ":") keys += 1;
    start = text.indexOf('"', after);
  }
  return keys;
}

function isEscaped(text: string, position: number): boolean {
  let backslashes = 0;
  while (text[position - 1 - backslashes] === "\\") backslashes += 1;
  return backslashes % 2 === 1;
}

function readYaml(text: string, source: string): unknown {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter,
    prettyErrors: false,
    uniqueKeys: true,
    logLevel: "error",
  });
  const faults = [...document.errors, ...document.warnings];
  if (faults.length > 0) {
    throw new InventoryError(
      source,
      faults.map((fault) => {
        const { line, col } = lineCounter.linePos(fault.pos[0]);
        return { field: `line ${line}, column ${col}`, got: fault.message, allowed: "must be YAML or JSON" };
      }),
    );
  }
  // Aliases are bounded: a few lines of nested ones can ask for gigabytes.
  return document.toJS({ maxAliasCount: 100 });
}
