import { maxRecordsPerBatch } from "../../exporter/receive/decode";
import { SeededRandom } from "../exporter/random";
import { check, decodeInTime } from "./check";
import { Fuzzer } from "./fuzzer";
import { createCrowd, createRequest } from "./grammar";
import { field, scalar, serialise } from "./tree";

/** The short form of `make fuzz`: the same inputs in every run, without coverage. */
test("12,000 made-up messages: each is what protobuf says it is, or refused", () => {
  const fuzzer = new Fuzzer(1);
  for (let turn = 0; turn < 12_000; turn += 1) fuzzer.step();
  const { counts } = fuzzer;
  // Otherwise nothing would have been compared.
  expect(counts.taken).toBeGreaterThan(4_000);
  expect(counts.refused.get("malformed")).toBeGreaterThan(4_000);
  expect(counts.lawful).toBeGreaterThan(1_000);
  expect(counts.records).toBeGreaterThan(4_000);
  expect(counts.foreign).toBeGreaterThan(400);
}, 120_000);

test("a lawful request is never refused", () => {
  const random = new SeededRandom(2);
  for (let turn = 0; turn < 2_000; turn += 1) {
    const outcome = check(serialise(createRequest(random)), true);
    expect(outcome.taken).toBe(true);
  }
});

/** 4 MiB of what is dearest to read for its size; more than that is not taken over the wire. */
const size = 4 * 1024 * 1024;
const attribute = field(6, [field(1, "node"), field(2, [field(1, "/")])]);
const oneByOne = (bytes: readonly number[]) => Buffer.alloc(size, Buffer.from(bytes));
const record = (content: Buffer) => serialise([field(1, [field(2, [field(2, content)])])]);

test.each([
  ["as many records as are allowed, all empty", serialise(createCrowd(maxRecordsPerBatch))],
  ["resources without anything", oneByOne([0x0a, 0])],
  ["unknown numbers", oneByOne([0x78, 0])],
  ["one attribute again and again", record(serialise(new Array(20_000).fill(attribute)))],
  [
    "one value again and again",
    record(serialise([field(6, [field(1, "node"), field(2, new Array(100_000).fill(field(1, "/")))])])),
  ],
  [
    "one claim",
    record(serialise([field(6, [field(1, "node"), field(2, [field(1, Buffer.alloc(1_000_000, "x"))])])])),
  ],
  [
    "one line again and again",
    record(serialise([field(5, new Array(100_000).fill(field(1, "GET 304 1 2 3 /")))])),
  ],
  ["one line of spaces", record(serialise([field(5, [field(1, Buffer.alloc(1_000_000, " "))])]))],
  ["groups in groups", oneByOne([0x0b])],
  ["a varint without an end", oneByOne([0x80])],
  ["lists in lists", serialise([field(1, [field(2, [field(2, [field(6, nested(500))])])])])],
])("%s: read or refused, in time", (_name, message) => {
  decodeInTime(message);
});

function nested(depth: number) {
  let value = [scalar(3, 1)];
  for (let level = 0; level < depth; level += 1) value = [field(5, [field(1, value)])];
  return [field(1, "node"), field(2, value)];
}
