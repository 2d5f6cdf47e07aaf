import { accessRecordAttributes, accessRecordLine } from "../../exporter/receive/fields";
import type { AccessRecord } from "../../exporter/receive/record";
import { requestType } from "../exporter/otlp";
import type { Outcome } from "./subject";

interface DecodedValue {
  readonly stringValue?: string;
}

interface DecodedRequest {
  readonly resourceLogs: readonly {
    readonly scopeLogs: readonly {
      readonly logRecords: readonly {
        readonly timeUnixNano: string;
        readonly body?: DecodedValue | null;
        readonly attributes: readonly { readonly key: string; readonly value: DecodedValue | null }[];
      }[];
    }[];
  }[];
}

const fieldByKey = new Map(
  Object.entries(accessRecordAttributes).map(([field, key]) => [
    key as string,
    field as keyof typeof accessRecordAttributes,
  ]),
);

/** The same records by way of protobufjs' reflection over the protocol's definition. @throws Error as protobufjs does. */
export function decodeWithProtobufjs(message: Buffer): Outcome {
  const request = requestType.toObject(requestType.decode(message), {
    longs: String,
    arrays: true,
    defaults: false,
  }) as unknown as DecodedRequest;
  const all = request.resourceLogs.flatMap(({ scopeLogs }) =>
    scopeLogs.flatMap(({ logRecords }) => logRecords),
  );
  const records = all.map(toRecord).filter((record) => record !== undefined);
  return { taken: true, records, foreign: all.length - records.length };
}

function toRecord({
  timeUnixNano = "0",
  body,
  attributes,
}: DecodedRequest["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]) {
  const record: { -readonly [Field in keyof AccessRecord]: AccessRecord[Field] } = {
    timeSeconds: undefined,
    clientAddress: "",
    method: "",
    path: "",
    nodeId: "",
    code: undefined,
    durationMilliseconds: undefined,
    requestBytes: undefined,
    responseBytes: undefined,
  };
  let ours = false;
  if (timeUnixNano !== "0") record.timeSeconds = Number(timeUnixNano) / 1e9;
  for (const { key, value } of attributes) {
    const field = fieldByKey.get(key);
    if (field === undefined) continue;
    ours = true;
    if (value?.stringValue !== undefined) record[field] = known(value.stringValue);
  }
  if (body?.stringValue !== undefined) {
    const words = body.stringValue.split(" ");
    for (const [index, field] of accessRecordLine.entries()) {
      if (field === "path") record.path = known(words.slice(index).join(" "));
      else if (field === "method") record.method = known(words[index] ?? "");
      else {
        const word = known(words[index] ?? "");
        record[field] = word === "" ? undefined : /^[0-9]{1,15}$/.test(word) ? Number(word) : Number.NaN;
      }
    }
  }
  return ours ? record : undefined;
}

const known = (text: string) => (text === "-" ? "" : text);
