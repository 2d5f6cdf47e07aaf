import { InventoryError, parseInventory } from "../../exporter/identify/inventory";
import type { InventoryIssue } from "../../exporter/identify/inventory";

const source = "fleet/test.yaml";

function issuesOf(text: string): readonly InventoryIssue[] {
  try {
    parseInventory(text, source);
  } catch (error) {
    if (error instanceof InventoryError) return error.issues;
    throw error;
  }
  return [];
}

/** The issues of a list of entries, each `[index, field, what is allowed]`. */
function problems(
  ...entries: readonly unknown[]
): readonly (readonly [number | undefined, string, string])[] {
  return issuesOf(JSON.stringify({ vps: entries })).map(
    ({ entry, field, allowed }) => [entry?.index, field, allowed] as const,
  );
}

const good = { name: "jp-004", region: "jp", addresses: ["203.0.113.7"] };

describe("a right inventory", () => {
  test("YAML with everything", () => {
    const text = `
vps:
  - name: jp-004            # DNS label; unique
    region: jp
    addresses: [203.0.113.7, "2001:DB8:4:0::/64"]
    nodeIds: ["12", "13"]
    provider: example
    labels: { rack: r1 }
    state: paused
`;
    const [vps] = parseInventory(text, source).vps;
    expect(vps).toMatchObject({
      name: "jp-004",
      region: "jp",
      addresses: ["203.0.113.7", "2001:db8:4::/64"],
      nodeIds: ["12", "13"],
      provider: "example",
      labels: { rack: "r1" },
      state: "paused",
    });
  });

  test("JSON with the least, and the defaults", () => {
    const inventory = parseInventory(JSON.stringify({ vps: [good] }), source);
    expect(inventory.source).toBe(source);
    expect(inventory.vps).toMatchObject([
      { ...good, nodeIds: [], provider: "", labels: {}, state: "active" },
    ]);
  });

  test("an empty fleet", () => {
    expect(parseInventory("vps: []", source).vps).toEqual([]);
  });

  test.each([
    ["::ffff:203.0.113.7", "203.0.113.7"],
    ["::FFFF:cb00:7107", "203.0.113.7"],
    ["::ffff:203.0.113.0/120", "203.0.113.0/24"],
    ["203.0.113.7/32", "203.0.113.7"],
    ["2001:0db8:0000::1/128", "2001:db8::1"],
    ["10.1.0.0/16", "10.1.0.0/16"],
  ])("%s is %s", (written, canonical) => {
    expect(
      parseInventory(JSON.stringify({ vps: [{ ...good, addresses: [written] }] }), source).vps[0]?.addresses,
    ).toEqual([canonical]);
  });
});

describe("a wrong inventory", () => {
  test("gives all its problems at once, each with place, value and what is allowed", () => {
    const text = `
vps:
  - name: JP_004
    region: unknown
    addresses: [203.0.113.7/24, 300.1.1.1]
    nodeIds: [12]
    colour: red
  - name: hk-001
    addresses: [203.0.113.8]
    state: gone
  - name: hk-001
    region: hk
    addresses: [203.0.113.8]
extra: 1
`;
    const { message } = captureError(text);
    const lines = message.split("\n");
    expect(lines[0]).toBe("The inventory fleet/test.yaml has 11 problems:");
    expect(lines).toHaveLength(12);
    for (const part of [
      'vps[0] "JP_004" name: must be a DNS label',
      'vps[0] "JP_004" region: must not be "unknown"',
      'vps[0] "JP_004" addresses[0]: must not set bits beyond the prefix: write 203.0.113.0/24',
      'vps[0] "JP_004" addresses[1]: must be an IPv4 address, an IPv6 address, or a CIDR block of either; got "300.1.1.1"',
      'vps[0] "JP_004" nodeIds[0]: must be a string of 1 to 64 letters, digits, "-", "_" or "." (numbers in quotes: "12"); got 12',
      'vps[0] "JP_004" colour: must be one of name, region, addresses',
      'vps[1] "hk-001" region: must be a DNS label (1 to 63 of a-z, 0-9 and "-", with a letter or digit at both ends); got nothing',
      'vps[1] "hk-001" state: must be one of active, paused, retired; got "gone"',
      'extra: must be "vps"; got an unknown key',
      'vps[2] "hk-001" addresses: must belong to one VPS, or every VPS that shares it must have nodeIds',
      'vps[2] "hk-001" name: must be unique; vps[1] has it already; got "hk-001"',
    ]) {
      expect(lines.filter((line) => line.startsWith(`  ${part}`))).toHaveLength(1);
    }
  });

  function captureError(text: string): InventoryError {
    try {
      parseInventory(text, source);
    } catch (error) {
      if (error instanceof InventoryError) return error;
    }
    throw new Error("it was taken");
  }

  test.each([
    ["nothing", ""],
    ["a list", "[]"],
    ["a number in place of the list", "vps: 3"],
    ["a number in place of an entry", "vps: [3]"],
    ["text that is no YAML", "vps: [\n}"],
    ["a key twice", "vps: []\nvps: []"],
    ["a tag", "vps: !!js/function 'x'"],
    ["an alias that holds itself", "vps: &a [*a]"],
    ["bytes", "\u0000\u0001\u0002"],
    [
      "aliases that grow without bound",
      `a: &a [x,x,x,x,x,x,x,x,x]\n${"bcdefghi".replace(
        /./g,
        (letter, index: number) =>
          `${letter}: &${letter} [${Array(9)
            .fill(`*${"abcdefgh"[index] ?? ""}`)
            .join(",")}]\n`,
      )}vps: *i`,
    ],
  ])("%s is refused with a place or a reason", (_name, text) => {
    expect(issuesOf(text).length).toBeGreaterThan(0);
    for (const { allowed } of issuesOf(text)) expect(allowed).toMatch(/^must /);
  });

  test("a text of 10 MB is refused before it is parsed", () => {
    const [issue] = issuesOf(" ".repeat(10_000_000));
    expect(issue).toMatchObject({
      got: "10000000 characters",
      allowed: "must have at most 8388608 characters",
    });
  });

  test("hundreds of problems are kept, and 50 shown", () => {
    const entries = Array.from({ length: 300 }, () => ({ ...good, name: "A" }));
    const { message, issues } = captureError(JSON.stringify({ vps: entries }));
    expect(issues.length).toBeGreaterThanOrEqual(300);
    expect(message.split("\n")).toHaveLength(52);
    expect(message).toMatch(/and \d+ more$/);
  });

  test.each([
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "2001::/16",
    "::ffff:0.0.0.0/96",
    "0.0.0.0",
    "::",
    "255.255.255.255",
    "224.0.0.1",
    "ff02::1",
  ])("%s is no VPS's address", (address) => {
    expect(problems({ ...good, addresses: [address] })).toEqual([
      [0, "addresses[0]", expect.stringMatching(/^must /)],
    ]);
  });

  test.each([
    "10.1",
    "010.0.0.1",
    "0x7f.0.0.1",
    "1.2.3.4/33",
    "1.2.3.4/-1",
    "1.2.3.4/",
    "1.2.3.4/8/8",
    "fe80::1%eth0",
    "::1/129",
    "host.example",
    "",
    " 1.2.3.4",
    "1.2.3.4:80",
  ])("%j is no address", (address) => {
    expect(problems({ ...good, addresses: [address] })).toHaveLength(1);
  });

  test.each(["", "-a", "a-", "a.b", "Ä", "a b", 'a"b', "a".repeat(64), "unknown"])(
    "%j is no name",
    (name) => {
      expect(problems({ ...good, name })).toHaveLength(1);
    },
  );

  test.each([
    { vps: "x".repeat(129) },
    { "a-b": "x" },
    { __name__: "x" },
    { "1a": "x" },
    { a: 1 },
    { a: "line\nbreak" },
  ])("labels %j are refused", (labels) => {
    expect(problems({ ...good, labels })).toHaveLength(1);
  });
});

describe("two VPSes and one address", () => {
  const a = { name: "a", region: "jp", addresses: ["203.0.113.7"] };
  const b = { name: "b", region: "hk", addresses: ["203.0.113.7"] };

  test.each([
    ["no node ids", [a, b]],
    ["node ids on one side", [{ ...a, nodeIds: ["1"] }, b]],
    ["node ids on the other side", [a, { ...b, nodeIds: ["1"] }]],
    [
      "a node id in common",
      [
        { ...a, nodeIds: ["1", "2"] },
        { ...b, nodeIds: ["2", "3"] },
      ],
    ],
    ["the address inside the other's block", [{ ...a, addresses: ["203.0.113.0/24"] }, b]],
    ["the same address written differently", [{ ...a, addresses: ["::ffff:203.0.113.7"] }, b]],
    [
      "a block inside the other's block",
      [
        { ...a, addresses: ["2001:db8::/48"] },
        { ...b, addresses: ["2001:db8:0:5::/64"] },
      ],
    ],
  ])("are refused with %s", (_name, entries) => {
    const found = problems(...entries);
    expect(found).toHaveLength(1);
    expect(found[0]?.[2]).toMatch(/^must belong to one VPS, .*; vps\[[01]\] "[ab]" has /);
  });

  test("are taken when node ids tell them apart", () => {
    expect(problems({ ...a, nodeIds: ["1", "2"] }, { ...b, nodeIds: ["3"] })).toEqual([]);
    expect(
      problems({ ...a, addresses: ["203.0.113.0/24"], nodeIds: ["1"] }, { ...b, nodeIds: ["3"] }),
    ).toEqual([]);
  });

  test("an address twice in one entry is a slip, a block around one's own address is not", () => {
    expect(problems({ ...a, addresses: ["203.0.113.7", "::ffff:203.0.113.7"] })).toEqual([
      [0, "addresses", "must be listed once"],
    ]);
    expect(problems({ ...a, addresses: ["203.0.113.0/24", "203.0.113.7"] })).toEqual([]);
  });

  test("2,000 entries with one address are refused in a moment, each once", () => {
    const entries = Array.from({ length: 2_000 }, (_, index) => ({
      ...a,
      name: `vps-${index}`,
      nodeIds: ["1"],
    }));
    const started = performance.now();
    expect(problems(...entries)).toHaveLength(1_999);
    expect(performance.now() - started).toBeLessThan(6_000);
  });
});
