import { readInBackground, ReadingError } from "../../exporter/identify/background";
import { InventoryError, parseInventory } from "../../exporter/identify/inventory";

const entry = (index: number, more: Readonly<Record<string, unknown>> = {}) => ({
  name: `vps-${index}`,
  region: "jp",
  addresses: [`10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`],
  ...more,
});

const fleet = (size: number, change: (index: number) => Readonly<Record<string, unknown>> = () => ({})) =>
  JSON.stringify({ vps: Array.from({ length: size }, (_, index) => entry(index + 256, change(index))) });

async function problemOf(text: string, limits = {}): Promise<ReadingError> {
  try {
    await readInBackground([{ place: "fleet.yaml", text }], limits);
  } catch (error) {
    if (error instanceof ReadingError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

/** Judged here rather than in the thread, which takes its time to start and does the same. */
function problemHere(text: string): string {
  try {
    parseInventory(text, "fleet.yaml");
  } catch (error) {
    if (error instanceof InventoryError) return error.message;
    throw error;
  }
  throw new Error("it was taken");
}

jest.setTimeout(60_000);

test("what the thread reads is what is read here", async () => {
  const text = fleet(1_000, (index) => ({
    addresses: [`10.1.${index >> 8}.${index & 255}`, `2001:db8:${index.toString(16)}::/48`],
    nodeIds: [`${index}`],
    labels: { rack: "r1" },
  }));
  const read = await readInBackground([{ place: "fleet.yaml", text }]);
  const { source, vps } = parseInventory(text, "fleet.yaml");
  expect(read).toEqual({ source, vps, overridden: [] });
});

test("two documents are merged, the first one winning", async () => {
  const read = await readInBackground([
    { place: "a", text: fleet(2) },
    { place: "b", text: fleet(3, (index) => (index === 0 ? { addresses: ["192.0.2.1"] } : {})) },
  ]);
  expect(read.vps.map(({ name, addresses }) => [name, ...addresses])).toEqual([
    ["vps-256", "10.0.1.0"],
    ["vps-257", "10.0.1.1"],
    ["vps-258", "10.0.1.2"],
  ]);
  expect(read.overridden).toEqual(["vps-256", "vps-257"]);
});

/** A few lines of YAML whose aliases stand for 10 to the power of `levels` values. */
const aliasBomb = (levels: number) =>
  [
    `l0: &l0 [${Array(10).fill("x").join(",")}]`,
    ...Array.from(
      { length: levels },
      (_, level) => `l${level + 1}: &l${level + 1} [${Array(10).fill(`*l${level}`).join(",")}]`,
    ),
    `vps: *l${levels}`,
  ].join("\n");

describe("a hostile inventory", () => {
  test.each([
    ["no YAML", "vps: [\n}", /line 2, column 1: must be YAML or JSON; got /],
    [
      "10 MB",
      `{"vps":[]}${" ".repeat(10_000_000)}`,
      /document: must have at most 8388608 characters; got 10000010/,
    ],
    [
      "NUL bytes",
      "vps:\n  - name: a\u0000b",
      /line 2, column 12: must hold no control characters; got the character 0x00/,
    ],
    ["escape sequences", "vps: [\u001b[31m]", /line 1, column 7: must hold no control characters/],
    ["an alias bomb", aliasBomb(20), /document: must be YAML or JSON without nested aliases; got /],
    ["deep YAML", `vps: ${"[".repeat(5_000)}`, /document: must be nested less deeply|must be YAML or JSON/],
    [
      "deep JSON",
      `{"vps":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
      /vps\[0\]: must be an object .*; got a list of 1/,
    ],
    [
      "a huge name",
      JSON.stringify({ vps: [entry(256, { name: "x".repeat(5_000_000) })] }),
      /vps\[0\] "x+\.\.\. name: must be a DNS label/,
    ],
    ["a huge key", JSON.stringify({ ["x".repeat(5_000_000)]: 1, vps: [] }), /^ {2}x{400,}\.\.\.$/m],
    ["huge YAML errors", `vps: *${"x".repeat(5_000_000)}`, /must be YAML or JSON/],
    [
      "a key twice in JSON",
      '{"vps":[{"name":"a","name":"b"}]}',
      /line 1, column \d+: must be YAML or JSON; got Map keys must be unique/,
    ],
    ["the list twice in JSON", '{"vps":[], "vps":[]}', /Map keys must be unique/],
    [
      "a duplicate name",
      fleet(2, () => ({ name: "a" })),
      /vps\[1\] "a" name: must be unique; vps\[0\] has it already/,
    ],
    [
      "overlapping blocks",
      fleet(2, (index) => ({ addresses: [index === 0 ? "10.9.0.0/16" : "10.9.8.0/24"] })),
      /vps\[1\] "vps-257" addresses: must belong to one VPS, .*; vps\[0\] "vps-256" has 10\.9\.0\.0\/16, which holds it; got 10\.9\.8\.0\/24/,
    ],
    ["100,001 entries", `{"vps":[${"{},".repeat(100_000)}{}]}`, /vps: must hold at most 100,000 VPSes/],
  ])("%s gives a place and a reason, and no more text than a log can take", (_name, text, problem) => {
    const message = problemHere(text);
    expect(message).toMatch(problem);
    expect(message.length).toBeLessThan(30_000);
    expect(message.split("\n").every((line) => line.length <= 510)).toBe(true);
  });

  test("is refused by the thread in the same words, for good", async () => {
    const text = fleet(2, () => ({ name: "a" }));
    const { message, reason } = await problemOf(text);
    expect([message, reason]).toEqual([problemHere(text), "document"]);
  });

  test("of 100,000 entries that all clash is refused with the first 50 of them", async () => {
    const { message } = await problemOf(`{"vps":[${Array(100_000).fill('{"name":"a"}').join(",")}]}`, {
      heapMiB: 1_024,
    });
    expect(message).toMatch(/^The inventory fleet\.yaml has \d{6} problems:/);
    expect(message.split("\n")).toHaveLength(52);
  });

  test("that takes too much memory ends its thread, and nothing else", async () => {
    const text = `vps:\n${"- {name: a, region: b, addresses: [c]}\n".repeat(200_000)}`;
    const { message, reason } = await problemOf(text, { heapMiB: 64 });
    expect([message, reason]).toEqual([
      "Reading the inventory fleet.yaml takes more than 64 MiB of memory",
      "limit",
    ]);
  });

  test("that takes too long is given up", async () => {
    const text = `vps:\n${"- {name: a, region: b, addresses: [c]}\n".repeat(100_000)}`;
    const { message, reason } = await problemOf(text, { milliseconds: 700, heapMiB: 1_024 });
    expect([message, reason]).toEqual(["Reading the inventory fleet.yaml takes more than 0.7 s", "limit"]);
  });
});

test("100,000 good entries are taken", async () => {
  const { vps } = await readInBackground([{ place: "fleet.json", text: fleet(100_000) }]);
  expect(vps).toHaveLength(100_000);
});
