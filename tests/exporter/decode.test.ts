import { accessRecordAttributes } from "../../exporter/receive/fields";
import { BatchError, decodeBatch, maxRecordsPerBatch } from "../../exporter/receive/decode";
import { accessLine, accessRecord, encodeAnything, encodeRequest } from "./otlp";
import { SeededRandom } from "./random";

function decodeOne(record: Readonly<Record<string, unknown>>) {
  const { records } = decodeBatch(encodeRequest([record]));
  const [first] = records;
  if (first === undefined || records.length !== 1)
    throw new Error(`expected one record, got ${records.length}`);
  return first;
}

function attribute(field: keyof typeof accessRecordAttributes, value: Readonly<Record<string, unknown>>) {
  return { key: accessRecordAttributes[field], value };
}

describe("a batch as Envoy sends it", () => {
  test("every field arrives", () => {
    const record = accessRecord(
      { method: "POST", code: "422", durationMilliseconds: "1500", requestBytes: "77" },
      1_700_000_000.25,
    );
    expect(decodeOne(record)).toEqual({
      timeSeconds: 1_700_000_000.25,
      clientAddress: "203.0.113.7",
      method: "POST",
      path: "/api/v1/server/UniProxy/config",
      nodeId: "12",
      code: 422,
      durationMilliseconds: 1_500,
      requestBytes: 77,
      responseBytes: 0,
    });
  });

  test('"-", empty text and what is absent all mean unknown', () => {
    const nothing = decodeOne(
      accessRecord({
        clientAddress: "-",
        nodeId: "",
        code: "-",
        durationMilliseconds: undefined,
        requestBytes: "",
      }),
    );
    expect(nothing).toMatchObject({
      clientAddress: "",
      nodeId: "",
      code: undefined,
      durationMilliseconds: undefined,
      requestBytes: undefined,
    });
  });

  test.each(["-5", "12.5", "1e3", "1\t", "0x10", "9".repeat(16), "٣"])("%j is no number", (text) => {
    expect(decodeOne(accessRecord({ durationMilliseconds: text })).durationMilliseconds).toBeNaN();
  });

  test("a record without a time has none", () => {
    expect(decodeOne({ ...accessRecord(), timeUnixNano: 0 }).timeSeconds).toBeUndefined();
  });
});

describe("what other senders may do", () => {
  test("other kinds of values are unknown, however deeply nested", () => {
    let nested: Record<string, unknown> = { stringValue: "x" };
    for (let depth = 0; depth < 30; depth += 1) nested = { arrayValue: { values: [nested] } };
    const attributes = [
      attribute("clientAddress", nested),
      { key: accessRecordAttributes.nodeId, value: { intValue: 12 } },
    ];
    const nothing = { clientAddress: "", nodeId: "", method: "", path: "", code: undefined };
    for (const body of [
      nested,
      { boolValue: true },
      { bytesValue: Buffer.from(accessLine()) },
      {},
      undefined,
    ])
      expect(decodeOne({ body, attributes })).toMatchObject(nothing);
  });

  test.each([
    ["", { method: "", code: undefined, path: "" }],
    ["GET", { method: "GET", code: undefined, path: "" }],
    ["GET 304", { method: "GET", code: 304, durationMilliseconds: undefined, path: "" }],
    ["GET 304 1 2 3", { code: 304, durationMilliseconds: 1, requestBytes: 2, responseBytes: 3, path: "" }],
    ["GET 304 1 2 3 /a b  c ", { responseBytes: 3, path: "/a b  c " }],
    ["GET  304 1 2 3 /", { method: "GET", code: undefined, durationMilliseconds: 304, path: "3 /" }],
    [" GET 304 1 2 3 /", { method: "", code: Number.NaN, path: "3 /" }],
    ["hello", { method: "hello", code: undefined, path: "" }],
  ])("the line %j is read word by word, the path to its end", (line, expected) => {
    expect(decodeOne({ ...accessRecord(), body: { stringValue: line } })).toMatchObject(expected);
  });

  test("a body alone is no access record", () => {
    const message = encodeRequest([{ body: { stringValue: accessLine() } }]);
    expect(decodeBatch(message)).toMatchObject({ records: [], foreign: 1 });
  });

  test("of two bodies, which protobuf allows, the later counts whole", () => {
    const line = (text: string) => Buffer.concat([Buffer.from([0x0a, text.length]), Buffer.from(text)]);
    const nest = (tag: number, inner: Buffer) => Buffer.concat([Buffer.from([tag, inner.length]), inner]);
    const attributes = nest(0x32, Buffer.concat([line("ip"), nest(0x12, line("203.0.113.7"))]));
    const bodies = [nest(0x2a, line("GET 304 1 2 3 /")), nest(0x2a, line("PUT 200"))];
    const message = nest(0x0a, nest(0x12, nest(0x12, Buffer.concat([...bodies, attributes]))));
    expect(decodeBatch(message).records[0]).toMatchObject({
      ...{ clientAddress: "203.0.113.7", method: "PUT", code: 200, path: "" },
      ...{ durationMilliseconds: undefined, requestBytes: undefined, responseBytes: undefined },
    });
  });

  test("a value may stand before its key", () => {
    // KeyValue { value = 2: AnyValue { string_value = 1: "12" }, key = 1: "node" }, by hand.
    const value = Buffer.concat([Buffer.from([0x12, 4, 0x0a, 2]), Buffer.from("12")]);
    const key = Buffer.concat([Buffer.from([0x0a, 4]), Buffer.from("node")]);
    const nest = (tag: number, inner: Buffer) => Buffer.concat([Buffer.from([tag, inner.length]), inner]);
    const message = nest(0x0a, nest(0x12, nest(0x12, nest(0x32, Buffer.concat([value, key])))));
    expect(decodeBatch(message).records[0]?.nodeId).toBe("12");
  });

  test("fields that are not needed are passed over", () => {
    const record = decodeOne({
      ...accessRecord({}, 1_700_000_000),
      observedTimeUnixNano: "1800000000000000000",
      severityNumber: 9,
      severityText: "INFO",
      flags: 1,
      traceId: Buffer.alloc(16, 1),
      droppedAttributesCount: 3,
    });
    expect(record).toMatchObject({ clientAddress: "203.0.113.7", timeSeconds: 1_700_000_000 });
  });

  test("attributes with keys as long as ours, and resource attributes with our keys, are not ours", () => {
    const request = encodeAnything({
      resourceLogs: [
        {
          resource: { attributes: [attribute("clientAddress", { stringValue: "198.51.100.1" })] },
          scopeLogs: [
            {
              logRecords: [{ attributes: [{ key: "iP", value: { stringValue: "198.51.100.1" } }] }, {}],
            },
          ],
        },
      ],
    });
    expect(decodeBatch(request)).toMatchObject({ records: [], foreign: 2 });
  });

  test("records of all resources and scopes are read, in order", () => {
    const logRecords = (...ids: string[]) => ids.map((nodeId) => accessRecord({ nodeId }));
    const request = encodeAnything({
      resourceLogs: [
        { scopeLogs: [{ logRecords: logRecords("1") }, { logRecords: logRecords("2", "3") }] },
        {},
        { scopeLogs: [{}, { logRecords: logRecords("4") }] },
      ],
    });
    expect(decodeBatch(request).records.map(({ nodeId }) => nodeId)).toEqual(["1", "2", "3", "4"]);
  });

  test("an empty request is an empty batch", () => {
    expect(decodeBatch(Buffer.alloc(0))).toMatchObject({ records: [], foreign: 0 });
  });
});

function faultOf(message: Buffer): string {
  try {
    decodeBatch(message);
  } catch (error) {
    if (error instanceof BatchError) return error.fault;
    throw error;
  }
  return "none";
}

describe("what is no batch", () => {
  test.each([
    ["a length beyond the end", [0x0a, 0x05, 0x00]],
    ["a length beyond the message around it", [0x0a, 0x02, 0x12, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00]],
    ["a field number 0", [0x02, 0x00]],
    ["a group", [0x0b, 0x0c]],
    ["a wire type that never was", [0x0f, 0x00]],
    ["a varint without an end", [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ["a cut tag", [0x8a]],
    ["a fixed64 that is cut", [0x0a, 0x07, 0x12, 0x05, 0x12, 0x03, 0x09, 0x01, 0x02]],
    ["a skipped field that ends outside its message", [0x0a, 0x03, 0x0a, 0x04, 0x00, 0x00, 0x00, 0x00]],
  ])("%s is malformed", (_name, bytes) => {
    expect(faultOf(Buffer.from(bytes))).toBe("malformed");
  });

  test("more records than a batch may hold are refused before they take memory", () => {
    const emptyRecords = (count: number) => {
      const records = Buffer.alloc(count * 2, Buffer.from([0x12, 0x00]));
      const nest = (tag: number, inner: Buffer) => {
        const length: number[] = [];
        for (let rest = inner.length; ; rest = Math.floor(rest / 128)) {
          length.push(rest < 128 ? rest : (rest % 128) + 128);
          if (rest < 128) break;
        }
        return Buffer.concat([Buffer.from([tag, ...length]), inner]);
      };
      return nest(0x0a, nest(0x12, records));
    };
    expect(decodeBatch(emptyRecords(maxRecordsPerBatch)).foreign).toBe(maxRecordsPerBatch);
    expect(faultOf(emptyRecords(maxRecordsPerBatch + 1))).toBe("too_many_records");
  });

  test("an error says nothing about the content", () => {
    const secret = "s3cr3t-token";
    const message = Buffer.concat([encodeRequest([accessRecord({ path: secret })]), Buffer.from([0x0f])]);
    expect(() => decodeBatch(message)).toThrow(BatchError);
    expect(() => decodeBatch(message)).not.toThrow(secret);
  });
});

describe("any bytes", () => {
  /** Whatever comes, there is a batch of sane records or a BatchError; nothing else is ever thrown. */
  function check(message: Buffer): "taken" | "refused" {
    try {
      for (const { clientAddress, method, path, nodeId, ...numbers } of decodeBatch(message).records) {
        // Not with expect(), which would take most of the time.
        const sane =
          [clientAddress, method, path, nodeId].every((text) => typeof text === "string") &&
          Object.values(numbers).every(
            (number) => number === undefined || Number.isNaN(number) || number >= 0,
          );
        if (!sane) throw new Error(`not a sane record, from ${message.toString("hex")}`);
      }
      return "taken";
    } catch (error) {
      if (error instanceof BatchError) return "refused";
      throw error;
    }
  }

  test("3,000 random inputs", () => {
    const random = new SeededRandom(1);
    const outcomes = Array.from({ length: 3_000 }, () => check(random.bytes(random.below(200))));
    expect(outcomes).toContain("refused");
  });

  test("6,000 batches with bytes changed, cut, doubled and inserted", () => {
    const random = new SeededRandom(2);
    const batch = encodeRequest([
      accessRecord(),
      accessRecord({ nodeId: "-" }),
      { body: { stringValue: "x" }, ...accessRecord() },
    ]);
    const outcomes = Array.from({ length: 6_000 }, () => {
      let message: Buffer = Buffer.from(batch);
      for (let change = random.below(4); change >= 0; change -= 1) {
        const at = random.below(message.length + 1);
        const [before, after] = [message.subarray(0, at), message.subarray(at)];
        message = random.pick<() => Buffer>([
          () => Buffer.concat([before, random.bytes(1), after.subarray(1)]),
          () =>
            Buffer.concat([before, Buffer.from([random.pick([0, 1, 0x7f, 0x80, 0xff])]), after.subarray(1)]),
          () => Buffer.from(before),
          () => Buffer.concat([before, after.subarray(random.below(9))]),
          () => Buffer.concat([before, random.bytes(random.below(9)), after]),
          () => Buffer.concat([message, message]),
        ])();
      }
      return check(message);
    });
    expect(outcomes).toContain("taken");
    expect(outcomes).toContain("refused");
  });

  test("every beginning of a batch", () => {
    const batch = encodeRequest([accessRecord()]);
    const outcomes = Array.from({ length: batch.length }, (_, length) => check(batch.subarray(0, length)));
    expect(outcomes.filter((outcome) => outcome === "taken")).toHaveLength(1);
  });
});
