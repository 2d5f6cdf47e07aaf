import { compressionAlgorithms, status } from "@grpc/grpc-js";
import { connect } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { createConnection } from "node:net";
import type { BatchHandler } from "../../exporter/receive/server";
import { exportPath, OtlpReceiver } from "../../exporter/receive/server";
import type { AccessRecord } from "../../exporter/receive/record";
import { accessRecord, decodeRejected, encodeRequest, OtlpClient } from "./otlp";
import { until } from "./running";

const maxMessageBytes = 256 * 1024;

let receiver: OtlpReceiver;
let client: OtlpClient;
let ready = true;
let taken: AccessRecord[] = [];
let rejected: string[] = [];
let duplicates = 0;

const handler: BatchHandler = {
  ready: () => ready,
  take: ({ records }) => taken.push(...records),
  duplicate: () => (duplicates += 1),
  reject: (reason) => rejected.push(reason),
};

beforeEach(async () => {
  [ready, taken, rejected, duplicates] = [true, [], [], 0];
  receiver = await OtlpReceiver.start({ listen: { host: "127.0.0.1", port: 0 }, maxMessageBytes, handler });
  client = new OtlpClient(receiver.port);
});

afterEach(() => {
  client.close();
  receiver.close();
});

test("a batch is taken and answered with nothing", async () => {
  const answer = await client.send(encodeRequest([accessRecord(), accessRecord({ nodeId: "13" })]));
  expect(answer).toHaveLength(0);
  expect(taken.map(({ nodeId }) => nodeId)).toEqual(["12", "13"]);
});

test("gzip works", async () => {
  const zipped = new OtlpClient(receiver.port, {
    "grpc.default_compression_algorithm": compressionAlgorithms.gzip,
  });
  await zipped.send(encodeRequest(Array.from({ length: 500 }, () => accessRecord())));
  zipped.close();
  expect(taken).toHaveLength(500);
});

test("records of others are told to the sender and the rest is taken", async () => {
  const answer = await client.send(encodeRequest([accessRecord(), { body: { stringValue: "x" } }, {}]));
  expect(decodeRejected(answer)).toEqual({
    rejected: 2,
    message: "records without attributes of an access record",
  });
  expect(taken).toHaveLength(1);
});

test("200 batches at once on one connection", async () => {
  await Promise.all(
    Array.from({ length: 200 }, (_, turn) =>
      client.send(encodeRequest([accessRecord({ nodeId: String(turn) })])),
    ),
  );
  expect(new Set(taken.map(({ nodeId }) => nodeId)).size).toBe(200);
});

test("a malformed batch is refused as a whole, and the next one is taken", async () => {
  const broken = Buffer.concat([encodeRequest([accessRecord()]), Buffer.from([0x0f])]);
  expect(await client.failure(broken)).toEqual({
    code: status.INVALID_ARGUMENT,
    details: "the message is not an OTLP ExportLogsServiceRequest",
  });
  expect([taken, rejected]).toEqual([[], ["malformed"]]);
  await client.send(encodeRequest([accessRecord()]));
  expect(taken).toHaveLength(1);
});

test("a message over the limit is refused, compressed or not", async () => {
  const large = encodeRequest([accessRecord({ path: "x".repeat(maxMessageBytes) })]);
  expect((await client.failure(large)).code).toBe(status.RESOURCE_EXHAUSTED);
  const zipped = new OtlpClient(receiver.port, {
    "grpc.default_compression_algorithm": compressionAlgorithms.gzip,
  });
  expect((await zipped.failure(large)).code).toBe(status.RESOURCE_EXHAUSTED);
  zipped.close();
  expect([taken, rejected]).toEqual([[], ["incomplete", "incomplete"]]);
  const allowed = encodeRequest([accessRecord({ path: "x".repeat(maxMessageBytes - 1_000) })]);
  await client.send(allowed);
  expect(taken).toHaveLength(1);
});

test("without an inventory the sender is told to come again", async () => {
  ready = false;
  expect((await client.failure(encodeRequest([accessRecord()]))).code).toBe(status.UNAVAILABLE);
  expect([taken, rejected]).toEqual([[], ["no_inventory"]]);
});

test("other calls do not exist", async () => {
  const path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
  expect((await client.failure(Buffer.alloc(0), path)).code).toBe(status.UNIMPLEMENTED);
});

test("what is no HTTP/2 at all does no harm", async () => {
  await new Promise<void>((resolve) => {
    const socket = createConnection(receiver.port, "127.0.0.1", () => socket.end("GET / HTTP/1.1\r\n\r\n"));
    socket
      .on("close", () => resolve())
      .on("error", () => undefined)
      .resume();
  });
  await client.send(encodeRequest([accessRecord()]));
  expect(taken).toHaveLength(1);
});

test("a handler that fails answers INTERNAL without details", async () => {
  const failing = {
    ...handler,
    take: () => {
      throw new Error("s3cr3t");
    },
  };
  const other = await OtlpReceiver.start({
    listen: { host: "127.0.0.1", port: 0 },
    maxMessageBytes,
    handler: failing,
  });
  const otherClient = new OtlpClient(other.port);
  expect(await otherClient.failure(encodeRequest([accessRecord()]))).toEqual({
    code: status.INTERNAL,
    details: "Error",
  });
  otherClient.close();
  other.close();
});

test("a port that is taken is an error with the address in it", async () => {
  const listen = { host: "127.0.0.1", port: receiver.port };
  await expect(OtlpReceiver.start({ listen, maxMessageBytes, handler })).rejects.toThrow(
    `Cannot listen on 127.0.0.1:${receiver.port} for OTLP`,
  );
});

/** A call without a gRPC library, for what no library does. */
function open(session: ClientHttp2Session, headers: Readonly<Record<string, string>> = {}) {
  return session.request({
    ":method": "POST",
    ":path": exportPath,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
}

function frame(message: Buffer, flag = 0): Buffer {
  const prefix = Buffer.from([flag, 0, 0, 0, 0]);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The status of a call, whether it stands in the answer's headers or trailers. */
function statusOf(call: ReturnType<typeof open>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const note = (headers: Readonly<Record<string, unknown>>) => {
      if (headers["grpc-status"] !== undefined) resolve(Number(headers["grpc-status"]));
      else if (headers[":status"] !== undefined && headers[":status"] !== 200) resolve(headers[":status"]);
    };
    call.on("response", note).on("trailers", note).on("error", reject).resume();
  });
}

describe("a batch that is sent again", () => {
  test("because its answer was lost is counted once and answered like the first time", async () => {
    const message = encodeRequest([accessRecord(), { body: { stringValue: "x" } }]);
    const session = connect(`http://127.0.0.1:${receiver.port}`);
    const lost = open(session);
    // The sender takes nothing any more once the message is out: it goes away when the batch was taken.
    lost.on("error", () => undefined);
    lost.end(frame(message));
    await until(() => taken.length === 1, 5_000);
    session.destroy();
    expect(decodeRejected(await client.send(message)).rejected).toBe(1);
    expect([taken.length, duplicates, rejected]).toEqual([1, 1, []]);
    await client.send(encodeRequest([accessRecord()]));
    expect([taken.length, duplicates]).toEqual([2, 1]);
  });

  test("is taken when it was refused the first time", async () => {
    const message = encodeRequest([accessRecord()]);
    ready = false;
    await client.failure(message);
    ready = true;
    await client.send(message);
    expect([taken.length, duplicates]).toEqual([1, 0]);
  });
});

describe("what no library sends", () => {
  let session: ClientHttp2Session;
  beforeEach(() => {
    session = connect(`http://127.0.0.1:${receiver.port}`);
  });
  afterEach(() => session.destroy());

  test.each([
    ["nothing", Buffer.alloc(0), {}, status.INTERNAL],
    ["half a message", frame(Buffer.alloc(100)).subarray(0, 50), {}, status.INTERNAL],
    ["two messages", Buffer.concat([frame(Buffer.alloc(0)), frame(Buffer.alloc(0))]), {}, status.INTERNAL],
    [
      "a compression that is not there",
      frame(Buffer.alloc(4), 1),
      { "grpc-encoding": "snappy" },
      status.UNIMPLEMENTED,
    ],
    ["gzip that is none", frame(Buffer.alloc(40), 1), { "grpc-encoding": "gzip" }, status.INTERNAL],
  ])("%s is answered with a status", async (_name, bytes, headers, expected) => {
    const call = open(session, headers);
    call.end(bytes);
    expect(await statusOf(call)).toBe(expected);
    expect([taken, rejected]).toEqual([[], ["incomplete"]]);
  });

  test("another content type is no gRPC", async () => {
    const call = open(session, { "content-type": "application/json" });
    call.end("{}");
    expect(await statusOf(call)).toBe(415);
  });

  test("a message that comes byte by byte is taken, and one that is given up is incomplete", async () => {
    const call = open(session);
    for (const byte of frame(encodeRequest([accessRecord()]))) call.write(Buffer.from([byte]));
    call.end();
    expect(await statusOf(call)).toBe(status.OK);
    const givenUp = open(session);
    givenUp.on("error", () => undefined).write(Buffer.from([0, 0, 0, 1, 0, 7]));
    await new Promise((resolve) => setTimeout(resolve, 50));
    givenUp.close();
    await until(() => rejected.length === 1, 5_000);
    expect([taken.length, rejected]).toEqual([1, ["incomplete"]]);
  });
});

test("a drain tells senders, finishes calls under way and then takes none", async () => {
  const session = connect(`http://127.0.0.1:${receiver.port}`);
  const told = new Promise((resolve) => session.once("goaway", resolve));
  const call = open(session);
  const message = frame(encodeRequest([accessRecord()]));
  call.write(message.subarray(0, 20));
  await new Promise((resolve) => setTimeout(resolve, 100));
  const drained = receiver.drain();
  await told;
  call.end(message.subarray(20));
  expect(await statusOf(call)).toBe(status.OK);
  await drained;
  expect(taken).toHaveLength(1);
  expect((await client.failure(encodeRequest([accessRecord()]))).code).toBe(status.UNAVAILABLE);
});
