import { renderTable } from "../../sandbox/table";

const rows = [
  { vps: "unknown", region: "unknown", requestsPerSecond: 0.1 },
  {
    vps: "us-001",
    region: "us",
    requestsPerSecond: 2,
    errorRatio: 0.255,
    p50: 0.0123,
    p95: 0.4567,
    silence: 3.4,
  },
  { vps: "jp-002", region: "jp" },
  { vps: "jp-001", region: "jp", requestsPerSecond: 1.234, errorRatio: NaN },
];

test("regions together, strangers last, and a dash for what is not known", () => {
  expect(renderTable(rows, false)).toEqual([
    "VPS        REGION     REQ/S    ERROR      P50      P95   LAST SEEN",
    "jp-001     jp          1.23        -        -        -       never",
    "jp-002     jp             -        -        -        -       never",
    "us-001     us          2.00    25.5%    12 ms   457 ms     3 s ago",
    "unknown    unknown     0.10        -        -        -       never",
  ]);
});

test("colour is added around a line and changes no column", () => {
  const plain = (line: string) => line.replaceAll(/\u001b\[\d+m/g, "");
  expect(renderTable(rows, true).map(plain)).toEqual(renderTable(rows, false));
  expect(renderTable(rows, true)[2]).toMatch(/^\u001b\[2m/);
});
