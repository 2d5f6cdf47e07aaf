import { Client, credentials } from "@grpc/grpc-js";
import type { ChannelCredentials, ClientOptions, ServiceError } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import type { AccessRecordField } from "../../exporter/receive/fields";
import { accessRecordAttributes, accessRecordLine } from "../../exporter/receive/fields";
import { exportPath } from "../../exporter/receive/server";

/**
 * OTLP logs as a sender makes them: protobufjs encodes from the protocol's own definition, which shares no
 * code with the exporter's decoder. Unneeded messages of the definition are left out.
 */
const definition = `
syntax = "proto3";
message ExportLogsServiceRequest { repeated ResourceLogs resource_logs = 1; }
message ExportLogsServiceResponse { ExportLogsPartialSuccess partial_success = 1; }
message ExportLogsPartialSuccess { int64 rejected_log_records = 1; string error_message = 2; }
message ResourceLogs { Resource resource = 1; repeated ScopeLogs scope_logs = 2; string schema_url = 3; }
message Resource { repeated KeyValue attributes = 1; uint32 dropped_attributes_count = 2; }
message ScopeLogs { Scope scope = 1; repeated LogRecord log_records = 2; string schema_url = 3; }
message Scope { string name = 1; string version = 2; }
message LogRecord {
  fixed64 time_unix_nano = 1; fixed64 observed_time_unix_nano = 11; int32 severity_number = 2; string severity_text = 3;
  AnyValue body = 5; repeated KeyValue attributes = 6; uint32 dropped_attributes_count = 7; fixed32 flags = 8;
  bytes trace_id = 9; bytes span_id = 10;
}
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4;
  ArrayValue array_value = 5; KeyValueList kvlist_value = 6; bytes bytes_value = 7; } }
message ArrayValue { repeated AnyValue values = 1; }
message KeyValueList { repeated KeyValue values = 1; }
`;
const { root } = protobuf.parse(definition);
/** The request, for those who decode it with protobufjs. */
export const requestType = root.lookupType("ExportLogsServiceRequest");
const responseType = root.lookupType("ExportLogsServiceResponse");

/** An OTLP value as protobufjs takes it. */
export type AnyValue = Readonly<Record<string, unknown>>;

/** One log record as protobufjs takes it. */
export type LogRecord = Readonly<Record<string, unknown>>;

/** A request with the given records, wrapped as Envoy wraps them. */
export function encodeRequest(records: readonly LogRecord[]): Buffer {
  return encodeAnything({
    resourceLogs: [
      {
        resource: { attributes: [{ key: "service.name", value: { stringValue: "gateway" } }] },
        scopeLogs: [{ scope: { name: "envoy" }, logRecords: records }],
      },
    ],
  });
}

/** A request of any shape. */
export function encodeAnything(request: Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(requestType.encode(requestType.fromObject(request)).finish());
}

/** What the server answered: 0 when it rejected nothing. */
export function decodeRejected(response: Buffer): { readonly rejected: number; readonly message: string } {
  const decoded: unknown = responseType.toObject(responseType.decode(response), {
    longs: Number,
    defaults: false,
  });
  if (typeof decoded !== "object" || decoded === null || !("partialSuccess" in decoded))
    return { rejected: 0, message: "" };
  const partial = decoded.partialSuccess as { rejectedLogRecords: number; errorMessage: string };
  return { rejected: partial.rejectedLogRecords, message: partial.errorMessage };
}

const ordinary: Readonly<Record<AccessRecordField, string>> = {
  clientAddress: "203.0.113.7",
  method: "GET",
  path: "/api/v1/server/UniProxy/config",
  code: "304",
  durationMilliseconds: "12",
  requestBytes: "0",
  responseBytes: "0",
  nodeId: "12",
};

let serial = 0;

/** A time in seconds that no other record has: equal batches would be one that was sent twice. */
function nextTime(): number {
  serial += 1;
  return 1_700_000_000 + serial / 1_000;
}

/** Values of a record's fields; `undefined` leaves an attribute out, and is "-" in the line. */
export type AccessFields = Partial<Record<AccessRecordField, string | undefined>>;

/** A record as Envoy sends it: text throughout. */
export function accessRecord(fields: AccessFields = {}, timeSeconds = nextTime()): LogRecord {
  const values: AccessFields = { ...ordinary, ...fields };
  const attributes = (Object.keys(accessRecordAttributes) as (keyof typeof accessRecordAttributes)[])
    .filter((field) => values[field] !== undefined)
    .map((field) => ({ key: accessRecordAttributes[field], value: { stringValue: values[field] } }));
  const body = { stringValue: accessLine(values) };
  return { timeUnixNano: `${Math.round(timeSeconds * 1_000)}000000`, body, attributes };
}

/** The line of a record's body. */
export function accessLine(fields: AccessFields = {}): string {
  const values: AccessFields = { ...ordinary, ...fields };
  return accessRecordLine.map((field) => values[field] ?? "-").join(" ");
}

/** A gRPC client of the exporter. */
export class OtlpClient {
  private readonly client: Client;

  constructor(
    port: number,
    options: ClientOptions = {},
    secure: ChannelCredentials = credentials.createInsecure(),
    host = "127.0.0.1",
  ) {
    this.client = new Client(`${host}:${port}`, secure, options);
  }

  /** Sends bytes and gives the answer's bytes; rejects with gRPC's status. */
  send(message: Buffer, path: string = exportPath): Promise<Buffer> {
    const asBytes = (bytes: Buffer) => bytes;
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        path,
        asBytes,
        asBytes,
        message,
        { deadline: Date.now() + 5_000 },
        (error: ServiceError | null, answer) => {
          if (error !== null) reject(error);
          else resolve(answer ?? Buffer.alloc(0));
        },
      );
    });
  }

  /** gRPC's status code of a call that must fail. */
  async failure(
    message: Buffer,
    path?: string,
  ): Promise<{ readonly code: number; readonly details: string }> {
    try {
      await this.send(message, path);
    } catch (error) {
      const { code, details } = error as ServiceError;
      return { code, details };
    }
    throw new Error("the call succeeded");
  }

  close(): void {
    this.client.close();
  }
}
