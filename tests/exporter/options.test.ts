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
    "--inventory: must be one of --inventory-file, --otlp-listen, --http-listen, --drain-seconds, --max-message-bytes, --inventory-url, --inventory-token-file, --inventory-ca-file, --inventory-interval-seconds, --inventory-allow-http, --state-directory, --mesh, --otlp-tls-certificate-file, --otlp-tls-key-file, --otlp-tls-client-ca-file, --otlp-tls-client-names, --status-addresses",
    '"x": must follow a flag; got it alone',
    '"y": must follow a flag; got it alone',
    "--http-listen: must have a value; got nothing",
    "--inventory-file: must be the path of the inventory, unless there is an --inventory-url; got nothing",
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

describe("the management plane's inventory", () => {
  const url = "https://plane.example:8443/fleet?key=s3cr3t-query";

  test("with everything, and with the least", () => {
    const args = [
      `--inventory-url=${url}`,
      "--inventory-token-file=/token",
      "--inventory-ca-file=/ca",
      "--inventory-interval-seconds=5",
      "--inventory-allow-http=false",
      "--state-directory=/state",
    ];
    expect(parseOptions(args).httpInventory).toEqual({
      url: new URL(url),
      tokenFile: "/token",
      caFile: "/ca",
      intervalSeconds: 5,
      stateDirectory: "/state",
    });
    const least = parseOptions(["--inventory-url", url]);
    expect(least.httpInventory).toEqual({ url: new URL(url), intervalSeconds: 30 });
    expect(least).not.toHaveProperty("inventoryFile");
  });

  test.each([
    ["a user", "https://user:s3cr3t@plane.example/", /must be a URL without user and password; its value/],
    ["another protocol", "file:///s3cr3t", /must be an https URL; its value is not shown/],
    ["no URL", "s3cr3t", /must be an https URL; its value is not shown/],
    [
      "http",
      "http://plane.example/s3cr3t",
      /must be an https URL, unless .* \(--inventory-allow-http=true\)/,
    ],
    ["http and a name that looks local", "http://127.0.0.1.s3cr3t.example/", /must be an https URL, unless/],
  ])("%s is refused, and the URL not shown", (_name, wrong, problem) => {
    const found = problemsOf(`--inventory-url=${wrong}`);
    expect(found).toEqual([expect.stringMatching(problem)]);
    expect(found.join()).not.toContain("s3cr3t");
  });

  test.each(["http://127.0.0.1:8080/", "http://[::1]/", "http://localhost/"])(
    "%s stays on this machine",
    (local) => {
      expect(problemsOf(`--inventory-url=${local}`)).toEqual([]);
    },
  );

  test("http where it is allowed; and flags that cannot be", () => {
    expect(problemsOf("--inventory-url=http://plane.example/", "--inventory-allow-http=true")).toEqual([]);
    expect(
      problemsOf(`--inventory-url=${url}`, "--inventory-allow-http=yes", "--inventory-interval-seconds=4"),
    ).toEqual([
      '--inventory-allow-http: must be true or false; got "yes"',
      '--inventory-interval-seconds: must be a whole number from 5 to 3600; got "4"',
    ]);
    expect(problemsOf("--inventory-file=f", "--inventory-token-file=/token")).toEqual([
      "--inventory-token-file: must come with --inventory-url; got it alone",
    ]);
  });
});

test("TLS needs all of its files, and names are a list", () => {
  const files = ["--otlp-tls-certificate-file=a", "--otlp-tls-key-file=b", "--otlp-tls-client-ca-file=c"];
  const expected = { certificateFile: "a", keyFile: "b", clientAuthorityFile: "c" };
  const parse = (...args: string[]) => parseOptions(["--inventory-file=f", ...args]).otlpTls;
  expect(parse()).toBeUndefined();
  expect(parse(...files)).toEqual({ ...expected, clientNames: [] });
  expect(parse(...files, "--otlp-tls-client-names=gateway.example,spiffe://x/ns/y/sa/z")).toEqual({
    ...expected,
    clientNames: ["gateway.example", "spiffe://x/ns/y/sa/z"],
  });
  const missing = (flag: string) =>
    `--${flag}: must be a path when another --otlp-tls flag is given; got nothing`;
  expect(problemsOf("--inventory-file=f", "--otlp-tls-key-file=b")).toEqual([
    missing("otlp-tls-certificate-file"),
    missing("otlp-tls-client-ca-file"),
  ]);
  expect(problemsOf("--inventory-file=f", ...files, "--otlp-tls-client-names=a,,b")).toEqual([
    '--otlp-tls-client-names: must be names separated by commas; got "a,,b"',
  ]);
});
