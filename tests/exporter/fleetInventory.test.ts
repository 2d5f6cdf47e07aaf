import type { InventoryDocument } from "../../exporter/identify/background";
import { ReadingError } from "../../exporter/identify/background";
import { FleetInventory } from "../../exporter/identify/fleetInventory";
import { parseInventory } from "../../exporter/identify/inventory";
import { mergeInventories } from "../../exporter/identify/merge";
import type { InventoryReceiver, InventorySource } from "../../exporter/identify/source";

/** A source that says what the test has it say. */
class Speaker implements InventorySource {
  private receiver: InventoryReceiver | undefined;

  constructor(
    readonly name: "file" | "http",
    readonly place: string,
    private readonly first?: string,
  ) {}

  async start(receiver: InventoryReceiver): Promise<void> {
    this.receiver = receiver;
    if (this.first !== undefined) await receiver.offer(this.first);
  }

  /** @returns whether it is in force. */
  async say(text: string, keptSinceSeconds?: number): Promise<boolean> {
    return (await this.receiver?.offer(text, keptSinceSeconds)) ?? false;
  }

  break(problem: string): void {
    this.receiver?.failed(new Error(problem));
  }

  stop(): void {
    this.receiver = undefined;
  }
}

/** An inventory of entries written `name@address` or `name@address#nodeId`. */
const fleet = (...entries: readonly string[]) =>
  JSON.stringify({
    vps: entries.map((entry) => {
      const [, name, address, nodeId] = /^([^@]+)@([^#]+)#?(.*)$/.exec(entry) ?? [];
      return { name, region: "jp", addresses: [address], ...(nodeId === "" ? {} : { nodeIds: [nodeId] }) };
    }),
  });

/** As the thread does it, but here; how the thread does it has tests of its own. */
async function readHere(documents: readonly InventoryDocument[]) {
  reads += 1;
  try {
    return mergeInventories(documents.map(({ text, place }) => parseInventory(text, place)));
  } catch (error) {
    throw new ReadingError(error instanceof Error ? error.message : "", "document");
  }
}

let reads = 0;
let told: string[] = [];
let inventory: FleetInventory | undefined;

beforeEach(() => {
  reads = 0;
  told = [];
});

afterEach(() => inventory?.stop());

async function start(
  sources: readonly Speaker[],
  {
    patienceMilliseconds = 60_000,
    read = readHere,
  }: { patienceMilliseconds?: number; read?: typeof readHere } = {},
): Promise<FleetInventory> {
  inventory = new FleetInventory({
    sources,
    patienceMilliseconds,
    read,
    listener: {
      changed: async ({ name }, { vps, overridden }, keptSinceSeconds) => {
        const entries = vps.map((each) => `${each.name}@${each.addresses.join("+")}`).join(" ");
        const extra = [
          ...(overridden.length > 0 ? [`without ${overridden.join("+")}`] : []),
          keptSinceSeconds ?? "",
        ];
        told.push([name, entries, ...extra].join(" ").trim());
      },
      confirmed: ({ name }) => told.push(`${name} same`),
      failed: ({ name }, error) => told.push(`${name} !${error.message}`),
      gaveUpWaiting: (without) => told.push(`without ${without.map(({ name }) => name).join("+")}`),
    },
  });
  await inventory.start();
  return inventory;
}

const file = (first?: string) => new Speaker("file", "fleet.yaml", first);
const http = (first?: string) => new Speaker("http", "https://plane/fleet", first);

describe("both sources together", () => {
  test("are one fleet, the file's entries first", async () => {
    const [a, b] = [file(fleet("a@203.0.113.1")), http(fleet("b@203.0.113.2"))];
    await start([a, b]);
    expect(told).toEqual(["file a@203.0.113.1", "http a@203.0.113.1 b@203.0.113.2"]);
  });

  test("the file's entry wins over one of the same name, as a whole", async () => {
    const plane = http(fleet("b@203.0.113.2", "a@203.0.113.9"));
    const disk = file(fleet("a@203.0.113.1"));
    await start([disk, plane]);
    expect(told.at(-1)).toBe("http a@203.0.113.1 b@203.0.113.2 without a");
    // The overridden entry claims nothing, and counts once the file's is gone.
    expect(await disk.say(fleet("a@203.0.113.1", "c@203.0.113.9"))).toBe(true);
    expect(await disk.say(fleet())).toBe(true);
    expect(told.at(-1)).toBe("file b@203.0.113.2 a@203.0.113.9");
  });

  test.each([
    ["one address", "b@203.0.113.1", "it too"],
    ["an address in the other's block", "b@203.0.113.0/24", "203.0.113.0/24, which holds it"],
    ["the address in another form", "b@::ffff:203.0.113.1", "it too"],
  ])(
    "under two names, %s is refused with both places, and the last good fleet stays",
    async (_name, entry, has) => {
      const [disk, plane] = [file(fleet("z@203.0.114.9", "a@203.0.113.1")), http(fleet("c@203.0.115.3"))];
      await start([disk, plane]);
      told = [];
      expect(await plane.say(fleet("c@203.0.115.3", entry))).toBe(false);
      expect(told).toHaveLength(1);
      expect(told[0]).toMatch(
        /^http !The inventory fleet\.yaml with https:\/\/plane\/fleet has 1 problem:\n {2}\S+: vps\[1\] "[ab]" addresses: must belong to one VPS/,
      );
      for (const part of ["fleet.yaml", "https://plane/fleet", has]) expect(told[0]).toContain(part);
      // Said again, it is neither read again nor reported again; the other source goes on with the plane's last good part.
      const before = reads;
      expect(await plane.say(fleet("c@203.0.115.3", entry))).toBe(false);
      expect([reads, told.length]).toEqual([before, 1]);
      expect(await disk.say(fleet("a@203.0.113.1", "d@203.0.116.4"))).toBe(true);
      expect(told.at(-1)).toBe("file a@203.0.113.1 d@203.0.116.4 c@203.0.115.3");
    },
  );

  test("what was refused counts as soon as the other source gives way", async () => {
    const [disk, plane] = [file(fleet("a@203.0.113.1")), http(fleet())];
    await start([disk, plane]);
    const moved = fleet("b@203.0.113.1");
    expect(await plane.say(moved)).toBe(false);
    expect(await disk.say(fleet())).toBe(true);
    expect(await plane.say(moved)).toBe(true);
    expect(told.at(-1)).toBe("http b@203.0.113.1");
  });

  test("may share an address when node ids tell the VPSes apart", async () => {
    await start([file(fleet("a@203.0.113.1#1")), http(fleet("b@203.0.113.1#2"))]);
    expect(told.at(-1)).toBe("http a@203.0.113.1 b@203.0.113.1");
  });

  test("after a restart the file is in force and the plane's clashing part is refused, whoever was first before", async () => {
    await start([file(fleet("a@203.0.113.1")), http(fleet("b@203.0.113.1", "c@203.0.113.2"))]);
    expect(told).toEqual(["file a@203.0.113.1", expect.stringMatching(/^http !/)]);
  });
});

describe("failures", () => {
  test("one word about each, however long it lasts, and another when it becomes another", async () => {
    const disk = file(fleet("a@203.0.113.1"));
    await start([disk]);
    for (const text of ["vps: 3", "vps: 3", "vps: 4", "vps: 4"]) await disk.say(text);
    disk.break("ENOENT");
    disk.break("ENOENT");
    await disk.say("vps: 4");
    await disk.say(fleet("a@203.0.113.1"));
    expect(told.map((word) => word.split("\n").at(-1))).toEqual([
      "file a@203.0.113.1",
      "  vps: must be a list of VPSes; got 3",
      "  vps: must be a list of VPSes; got 4",
      "file !ENOENT",
      "  vps: must be a list of VPSes; got 4",
      "file same",
    ]);
    expect(reads).toBe(3);
  });

  test("for want of time or memory are no verdict on the text", async () => {
    jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate"] });
    let patient = false;
    const disk = file();
    await start([disk], {
      read: async (documents) => {
        if (patient) return readHere(documents);
        throw new ReadingError("takes more than 1 s", "limit");
      },
    });
    const text = fleet("a@203.0.113.1");
    expect(await disk.say(text)).toBe(false);
    patient = true;
    expect(await disk.say(text)).toBe(false);
    jest.advanceTimersByTime(5 * 60_000);
    expect(await disk.say(text)).toBe(true);
    jest.useRealTimers();
  });
});

describe("until every source has said something", () => {
  const missing = ({ missing: sources }: FleetInventory) => sources.map(({ name }) => name);

  test("the fleet is not complete, and then it is", async () => {
    const plane = http();
    const all = await start([file(fleet("a@203.0.113.1")), plane]);
    expect(missing(all)).toEqual(["http"]);
    plane.break("away");
    expect(missing(all)).toEqual(["http"]);
    await plane.say(fleet());
    expect(missing(all)).toEqual([]);
    // A failure later on changes nothing about that.
    plane.break("away again");
    expect(missing(all)).toEqual([]);
  });

  test("a kept inventory is something", async () => {
    const plane = http();
    const all = await start([file(fleet("a@203.0.113.1")), plane]);
    await plane.say(fleet("b@203.0.113.2"), 1_000);
    expect(missing(all)).toEqual([]);
    expect(told.at(-1)).toBe("http a@203.0.113.1 b@203.0.113.2 1000");
  });

  test("patience ends, with a word about who is missing", async () => {
    const all = await start([file(fleet("a@203.0.113.1")), http()], { patienceMilliseconds: 20 });
    expect(missing(all)).toEqual(["http"]);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(missing(all)).toEqual([]);
    expect(told.at(-1)).toBe("without http");
  });

  test("it does not end while nothing at all is in force", async () => {
    const all = await start([file(), http()], { patienceMilliseconds: 1 });
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(missing(all)).toEqual(["file", "http"]);
    expect(told).toEqual([]);
  });
});

test("after stop() nothing changes any more", async () => {
  const disk = file(fleet("a@203.0.113.1"));
  const all = await start([disk]);
  const late = disk.say(fleet("b@203.0.113.2"));
  all.stop();
  expect(await late).toBe(false);
  expect(told).toEqual(["file a@203.0.113.1"]);
});
