import { OptionsError, parseOptions } from "../../exporter/options";

function problemsOf(...args: readonly string[]): readonly string[] {
  try {
    parseOptions(args);
  } catch (error) {
    if (error instanceof OptionsError) return error.problems;
    throw error;
  }
  return [];
}

test("defaults", () => {
  expect(parseOptions(["--inventory-file", "fleet.yaml"])).toEqual({
    inventoryFile: "fleet.yaml",
    otlpListen: { host: "::", port: 4317 },
    httpListen: { host: "::", port: 9464 },
    drainSeconds: 35,
    maxMessageBytes: 4_194_304,
    statusAddresses: true,
  });
});

test("every flag, in both spellings", () => {
  const args = [
    "--inventory-file=a=b",
    "--otlp-listen=127.0.0.1:0",
    "--http-listen",
    "[::1]:80",
    "--drain-seconds=0",
    "--max-message-bytes",
    "1024",
    "--status-addresses=off",
  ];
  expect(parseOptions(args)).toEqual({
    inventoryFile: "a=b",
    otlpListen: { host: "127.0.0.1", port: 0 },
    httpListen: { host: "::1", port: 80 },
    drainSeconds: 0,
    maxMessageBytes: 1_024,
    statusAddresses: false,
  });
});

test("every problem at once, each with flag, value and what is allowed", () => {
  expect(
    problemsOf(
      "--inventory",
      "x",
      "y",
      "--otlp-listen",
      "4317",
      "--drain-seconds",
      "-1",
      "--max-message-bytes=1e6",
      "--http-listen",
    ),
  ).toEqual([
    "--inventory: must be one of --inventory-file, --otlp-listen, --http-listen, --drain-seconds, --max-message-bytes, --status-addresses",
    '"x": must follow a flag; got it alone',
    '"y": must follow a flag; got it alone',
    "--http-listen: must have a value; got nothing",
    "--inventory-file: must be the path of the inventory; got nothing",
    '--otlp-listen: must be address:port with a port from 0 to 65535, IPv6 in brackets; got "4317"',
    '--drain-seconds: must be a whole number from 0 to 3600; got "-1"',
    '--max-message-bytes: must be a whole number from 1024 to 67108864; got "1e6"',
  ]);
});

test.each([
  ["--otlp-listen", "::1:4317"],
  ["--otlp-listen", "localhost"],
  ["--otlp-listen", "localhost:"],
  ["--otlp-listen", "[::]:65536"],
  ["--otlp-listen", ":4317"],
  ["--drain-seconds", ""],
  ["--drain-seconds", "3601"],
  ["--drain-seconds", "1.5"],
  ["--max-message-bytes", "1023"],
  ["--status-addresses", "yes"],
  ["-x", "1"],
])("%s %j is refused", (flag, value) => {
  expect(problemsOf("--inventory-file", "f", `${flag}=${value}`).length).toBeGreaterThan(0);
});

test("a flag twice, and both servers on one address", () => {
  expect(problemsOf("--inventory-file", "a", "--inventory-file", "b")).toEqual([
    "--inventory-file: must be given once",
  ]);
  expect(problemsOf("--inventory-file", "a", "--otlp-listen", "[::]:9464")).toEqual([
    "--http-listen: must not be the address of --otlp-listen; got [::]:9464 for both",
  ]);
});
