import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileSource } from "../../exporter/identify/fileSource";

const inventory = (...names: readonly string[]) =>
  JSON.stringify({
    vps: names.map((name, index) => ({ name, region: "jp", addresses: [`203.0.113.${index + 1}`] })),
  });

let folder = "";
let path = "";
let source: FileSource;
/** What the source told, one word each: names of a new inventory, `same`, or `!` and the error. */
let told: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vpsight-inventory-"));
  path = join(folder, "fleet.yaml");
  told = [];
  source = new FileSource({ path, intervalMilliseconds: 10 });
});

afterEach(() => {
  source.stop();
  rmSync(folder, { recursive: true });
});

async function start(): Promise<void> {
  await source.start({
    changed: ({ vps }) => told.push(vps.map(({ name }) => name).join("+")),
    confirmed: () => told.push("same"),
    failed: (error) => told.push(`!${error.message}`),
  });
}

/** Waits for something new that is not `same`, and gives it. */
async function nextNews(): Promise<string> {
  const news = () => told.filter((word) => word !== "same");
  const before = news().length;
  for (const end = Date.now() + 3_000; Date.now() < end;) {
    if (news().length > before) return news()[before] ?? "";
    await pause(5);
  }
  throw new Error(`nothing new; told so far: ${told.join(" ")}`);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

test("what is there at the start is in force when start() is over; then only changes are news", async () => {
  writeFileSync(path, inventory("a"));
  await start();
  expect(told).toEqual(["a"]);
  await pause(60);
  expect(told.slice(1).length).toBeGreaterThan(1);
  expect(new Set(told.slice(1))).toEqual(new Set(["same"]));
  writeFileSync(path, inventory("a", "b"));
  expect(await nextNews()).toBe("a+b");
});

test("a file that comes later", async () => {
  await start();
  expect(told).toEqual([expect.stringMatching(/^!ENOENT/)]);
  writeFileSync(path, inventory("a"));
  expect(await nextNews()).toBe("a");
});

test("one word about a failure, however long it lasts, and another when it becomes another", async () => {
  writeFileSync(path, inventory("a"));
  await start();
  writeFileSync(path, "vps: 3");
  expect(await nextNews()).toMatch(
    /^!The inventory .*fleet\.yaml has 1 problem:\n {2}vps: must be a list of VPSes; got 3$/,
  );
  const before = told.length;
  await pause(60);
  expect(told).toHaveLength(before);
  rmSync(path);
  expect(await nextNews()).toMatch(/^!ENOENT/);
});

test("the same content after a failure confirms what is in force", async () => {
  writeFileSync(path, inventory("a"));
  await start();
  writeFileSync(path, "vps: 3");
  await nextNews();
  const before = told.length;
  writeFileSync(path, inventory("a"));
  await pause(100);
  expect(told.length).toBeGreaterThan(before);
  expect(new Set(told.slice(before))).toEqual(new Set(["same"]));
});

test("a ConfigMap volume, where a link to the folder is swapped", async () => {
  const swapIn = (version: string, text: string) => {
    mkdirSync(join(folder, version));
    writeFileSync(join(folder, version, "fleet.yaml"), text);
    symlinkSync(version, join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
  };
  swapIn("..1", inventory("a"));
  symlinkSync(join("..data", "fleet.yaml"), path);
  await start();
  expect(told).toEqual(["a"]);
  swapIn("..2", inventory("b"));
  rmSync(join(folder, "..1"), { recursive: true });
  expect(await nextNews()).toBe("b");
});

test("after stop() nothing is told", async () => {
  writeFileSync(path, inventory("a"));
  await start();
  source.stop();
  await pause(50);
  expect(told).toEqual(["a"]);
});
