import { accessRecordFields } from "../../exporter/receive/fields";
import type { AccessRecordField } from "../../exporter/receive/fields";
import type { AccessRecord } from "../../exporter/receive/record";
import { requestType } from "../exporter/otlp";
import type { Outcome } from "./subject";

interface DecodedAttribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: string } | null;
}

interface DecodedRequest {
  readonly resourceLogs: readonly {
    readonly scopeLogs: readonly {
      readonly logRecords: readonly {
        readonly timeUnixNano: string;
        readonly attributes: readonly DecodedAttribute[];
      }[];
    }[];
  }[];
}

const fieldByKey = new Map(
  Object.entries(accessRecordFields).map(([field, key]) => [key as string, field as AccessRecordField]),
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
    const text = value?.stringValue ?? value?.intValue;
    if (text === undefined) continue;
    const isText = value?.stringValue !== undefined;
    switch (field) {
      case "clientAddress":
      case "method":
      case "path":
      case "nodeId":
        if (isText) record[field] = text === "-" ? "" : text;
        else record[field] = text.startsWith("-") ? "" : String(Number(text));
        break;
      case "code":
      case "durationMilliseconds":
      case "requestBytes":
      case "responseBytes": {
        const whole = isText ? /^[0-9]{1,15}$/.test(text) : !text.startsWith("-");
        record[field] =
          isText && (text === "" || text === "-") ? undefined : whole ? Number(text) : Number.NaN;
      }
    }
  }
  return ours ? record : undefined;
}
