import { compressionAlgorithms, status } from "@grpc/grpc-js";
import { createConnection } from "node:net";
import type { BatchHandler } from "../../exporter/receive/server";
import { OtlpReceiver } from "../../exporter/receive/server";
import type { AccessRecord } from "../../exporter/receive/record";
import { accessRecord, decodeRejected, encodeRequest, OtlpClient } from "./otlp";

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
