import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileSource } from "../../exporter/identify/fileSource";

let folder = "";
let path = "";
let source: FileSource;
/** What the source told: texts, or `!` and the error. */
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
    offer: async (text) => {
      told.push(text);
      return true;
    },
    failed: (error) => told.push(`!${error.message}`),
  });
}

/** Waits for something other than what was told last, and gives it. */
async function nextNews(): Promise<string> {
  const before = told.at(-1);
  for (const end = Date.now() + 3_000; Date.now() < end;) {
    const last = told.at(-1);
    if (last !== undefined && last !== before) return last;
    await pause(5);
  }
  throw new Error(`nothing new; told so far: ${told.join(" ")}`);
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

test("what is there at the start is offered when start() is over, then what is there at each look", async () => {
  writeFileSync(path, "a");
  await start();
  expect(told).toEqual(["a"]);
  await pause(60);
  expect(told.slice(1).length).toBeGreaterThan(1);
  expect(new Set(told)).toEqual(new Set(["a"]));
  writeFileSync(path, "b");
  expect(await nextNews()).toBe("b");
});

test("a file that comes later", async () => {
  await start();
  expect(told).toEqual([expect.stringMatching(/^!ENOENT/)]);
  writeFileSync(path, "a");
  expect(await nextNews()).toBe("a");
});

test("a file that no inventory can need is not read", async () => {
  writeFileSync(path, "");
  truncateSync(path, 10_000_000);
  await start();
  expect(told).toEqual([`!The inventory ${path} must have at most 8388608 bytes; got 10000000`]);
});

test("a ConfigMap volume, where a link to the folder is swapped", async () => {
  const swapIn = (version: string, text: string) => {
    mkdirSync(join(folder, version));
    writeFileSync(join(folder, version, "fleet.yaml"), text);
    symlinkSync(version, join(folder, "..data_tmp"));
    renameSync(join(folder, "..data_tmp"), join(folder, "..data"));
  };
  swapIn("..1", "a");
  symlinkSync(join("..data", "fleet.yaml"), path);
  await start();
  expect(told).toEqual(["a"]);
  swapIn("..2", "b");
  rmSync(join(folder, "..1"), { recursive: true });
  expect(await nextNews()).toBe("b");
});

test("after stop() nothing is told", async () => {
  writeFileSync(path, "a");
  await start();
  source.stop();
  await pause(50);
  expect(told).toEqual(["a"]);
});
