import { parseAddress } from "../../exporter/identify/address";
import { Directory } from "../../exporter/identify/directory";
import { parseInventory } from "../../exporter/identify/inventory";
import { createFleet } from "./fleet";

interface Entry {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly nodeIds?: readonly string[];
}

/** A function that gives `name`, `name!` (node id mismatch) or `?reason` for an address and a node id. */
function lookUp(...entries: readonly Entry[]): (address: string, nodeId?: string) => string {
  const inventory = parseInventory(
    JSON.stringify({ vps: entries.map((entry) => ({ region: "jp", ...entry })) }),
    "test",
  );
  const directory = new Directory(inventory, ({ name }) => name);
  return (address, nodeId = "") => {
    const caller = directory.identify(parseAddress(address), nodeId);
    return (caller.known ? caller.value : `?${caller.reason}`) + (caller.nodeIdMismatch ? "!" : "");
  };
}

describe("by address", () => {
  const find = lookUp(
    { name: "four", addresses: ["203.0.113.7"] },
    { name: "six", addresses: ["2001:db8::7"] },
    { name: "block", addresses: ["198.51.100.0/28", "2001:db8:4::/64"] },
  );

  test.each([
    ["203.0.113.7", "four"],
    ["::ffff:203.0.113.7", "four"],
    ["::FFFF:CB00:7107", "four"],
    ["2001:db8::7", "six"],
    ["2001:0DB8:0:0::7", "six"],
    ["198.51.100.0", "block"],
    ["198.51.100.15", "block"],
    ["::ffff:198.51.100.3", "block"],
    ["2001:db8:4::", "block"],
    ["2001:db8:4:0:ffff:ffff:ffff:ffff", "block"],
    ["198.51.100.16", "?not_in_inventory"],
    ["198.51.99.255", "?not_in_inventory"],
    ["2001:db8:4:1::", "?not_in_inventory"],
    ["203.0.113.8", "?not_in_inventory"],
    ...[
      ...["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "100.127.255.255"],
      ...["127.0.0.1", "169.254.1.1", "::ffff:10.0.0.1", "fc00::1", "fdff::1", "fe80::1", "::1"],
    ].map((address) => [address, "?private_address"]),
    ...[
      ...[
        "9.255.255.255",
        "11.0.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "192.167.0.1",
        "100.63.0.1",
        "100.128.0.1",
      ],
      ...["169.253.0.1", "fe00::1", "ff00::1", "fec0::1", "::2", "::"],
    ].map((address) => [address, "?not_in_inventory"]),
    ["", "?no_address"],
    ["203.0.113", "?no_address"],
    ["203.0.113.7:443", "?no_address"],
    ["unknown", "?no_address"],
    ["__proto__", "?no_address"],
    ["1:".repeat(50), "?no_address"],
  ])("%j is %s", (address, expected) => {
    expect(find(address)).toBe(expected);
    expect(find(address)).toBe(expected); // the second time from memory
  });

  test("any node id is right where the inventory gives none", () => {
    expect(find("203.0.113.7", "99")).toBe("four");
  });

  test("the most specific range wins within one VPS too", () => {
    const nested = lookUp({ name: "a", addresses: ["203.0.113.0/24", "203.0.113.7"], nodeIds: ["1"] });
    expect([nested("203.0.113.7", "1"), nested("203.0.113.8", "1"), nested("203.0.113.7", "2")]).toEqual([
      "a",
      "a",
      "a!",
    ]);
  });
});

describe("by node id", () => {
  test("a claim outside the node ids is the VPS all the same, with a mismatch", () => {
    const find = lookUp({ name: "a", addresses: ["203.0.113.7"], nodeIds: ["12", "x-1"] });
    expect([find("203.0.113.7", "12"), find("203.0.113.7", "x-1"), find("203.0.113.7", "13")]).toEqual([
      "a",
      "a",
      "a!",
    ]);
    expect(find("203.0.113.7")).toBe("a");
  });

  test("VPSes that share an address are told apart; who fits none is unknown", () => {
    const find = lookUp(
      { name: "a", addresses: ["203.0.113.7"], nodeIds: ["1", "2"] },
      { name: "b", addresses: ["203.0.113.7"], nodeIds: ["3"] },
    );
    const answers = ["1", "2", "3", "4", ""].map((nodeId) => find("203.0.113.7", nodeId));
    expect(answers).toEqual(["a", "a", "b", "?shared_address!", "?shared_address"]);
  });

  test("in a block within a block, the inner one is meant unless the node id is the outer one's", () => {
    const find = lookUp(
      { name: "outer", addresses: ["2001:db8::/48"], nodeIds: ["1"] },
      { name: "inner", addresses: ["2001:db8:0:5::/64", "2001:db8:0:6::1"], nodeIds: ["2"] },
    );
    expect(["1", "2", "3", ""].map((nodeId) => find("2001:db8:0:5::9", nodeId))).toEqual([
      "outer",
      "inner",
      "inner!",
      "inner",
    ]);
    expect(["1", "2", "3", ""].map((nodeId) => find("2001:db8:0:6::1", nodeId))).toEqual([
      "outer",
      "inner",
      "inner!",
      "inner",
    ]);
    expect(["1", "2", ""].map((nodeId) => find("2001:db8:0:7::1", nodeId))).toEqual([
      "outer",
      "outer!",
      "outer",
    ]);
  });
});

test("a look-up costs about the same with 10 VPSes and with 10,000", () => {
  const cost = (size: number) => {
    const directory = new Directory(createFleet(size), ({ name }) => name);
    // Fresh addresses in known blocks, known addresses and unknown ones: nothing comes from memory alone.
    const round = (from: number) => {
      for (let turn = from; turn < from + 10_000; turn += 1) {
        const index = turn % size;
        directory.identify(
          parseAddress(`2001:db8:${index.toString(16)}::${(turn % 65_536).toString(16)}`),
          "",
        );
        directory.identify(parseAddress(`10.${index >> 8}.${index & 255}.1`), "");
        directory.identify(parseAddress(`192.0.${(turn >> 8) & 255}.${turn & 255}`), "");
      }
    };
    round(0);
    const started = process.cpuUsage().user;
    round(10_000);
    return process.cpuUsage().user - started;
  };
  // Wide enough for a busy machine: a look-up that walks the fleet would be some hundred times slower.
  expect(cost(10_000) / cost(10)).toBeLessThan(8);
});
