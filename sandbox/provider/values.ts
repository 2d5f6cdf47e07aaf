import { Struct, Value as ProtoValue } from "google-protobuf/google/protobuf/struct_pb";

/** A property value as the engine sends it: JSON, with marks for secrets and for what is not known yet. */
export type Value = null | boolean | number | string | Value[] | Properties;

/** A bag of properties; also the shape of every Kubernetes object here. */
export interface Properties {
  [key: string]: Value;
}

// The engine's wire marks: https://pulumi-developer-docs.readthedocs.io (sdk/go/common/resource/properties.go).
const signatureKey = "4dabf18193072939515e22adb298388d";
const secretSignature = "1b47061264138c4ac30d75fd1eb44270";
const unknowns = new Set([
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7", // boolean
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421", // number
  "04da6b54-80e4-46f7-96ec-b56ff0331ba9", // string
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2", // array
  "030794c1-ac77-496b-92df-f27374a8bd58", // asset
  "e48ece36-62e2-4504-bad9-02848725956a", // archive
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff", // object
]);

/** Whether a value is a bag of properties (a secret's wrapping is one, too). */
export function isProperties(value: Value | undefined): value is Properties {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The bag under `key`, or an empty one. */
export function propertiesAt(bag: Properties, key: string): Properties {
  const value = bag[key];
  return isProperties(value) ? value : {};
}

/** The text under `key`, or `""`. */
export function textAt(bag: Properties, key: string): string {
  const value = bag[key];
  return typeof value === "string" ? value : "";
}

/** The number under `key`, or `fallback` (default 0). */
export function numberAt(bag: Properties, key: string, fallback = 0): number {
  const value = bag[key];
  return typeof value === "number" ? value : fallback;
}

/** Items under `key` that are bags. */
export function listAt(bag: Properties, key: string): Properties[] {
  const value = bag[key];
  return Array.isArray(value) ? value.filter(isProperties) : [];
}

/** A copy without some keys. */
export function omit(bag: Properties, ...keys: string[]): Properties {
  return Object.fromEntries(Object.entries(bag).filter(([key]) => !keys.includes(key)));
}

/** A scalar as text; anything else is `""`. */
export function scalarText(value: Value | undefined): string {
  return typeof value === "object" || value === undefined ? "" : String(value);
}

/** Parsed JSON as a value: `JSON.parse` with a type that can be narrowed. */
export function parseJson(text: string): Value {
  return JSON.parse(text) as Value;
}

export function isSecret(value: Value | undefined): value is Properties {
  return isProperties(value) && value[signatureKey] === secretSignature;
}

/** Wraps a value as secret; what is a secret already stays as it is. */
export function makeSecret(value: Value): Value {
  return isSecret(value) ? value : { [signatureKey]: secretSignature, value };
}

/** The value without any secret's wrapping, at any depth, and without the keys that are null. */
export function revealSecrets(value: Properties): Properties;
export function revealSecrets(value: Value): Value;
export function revealSecrets(value: Value): Value {
  if (isSecret(value)) return revealSecrets(value["value"] ?? null);
  if (Array.isArray(value)) return value.map((item) => revealSecrets(item));
  if (!isProperties(value)) return value;
  const bag: Properties = {};
  for (const [key, item] of Object.entries(value)) {
    const revealed = revealSecrets(item);
    // The SDK sends a property that the program leaves undefined as null.
    if (revealed !== null) bag[key] = revealed;
  }
  return bag;
}

/** Whether a secret is anywhere in it. */
export function containsSecret(value: Value): boolean {
  if (isSecret(value)) return true;
  if (Array.isArray(value)) return value.some(containsSecret);
  return isProperties(value) && Object.values(value).some(containsSecret);
}

/** Whether anything in it is not known yet, as happens in a preview. */
export function containsUnknown(value: Value): boolean {
  if (typeof value === "string") return unknowns.has(value);
  if (Array.isArray(value)) return value.some(containsUnknown);
  return isProperties(value) && Object.values(value).some(containsUnknown);
}

/**
 * Marks in `value` as secret what is secret in `pattern`. A list with a secret anywhere in it becomes secret as
 * a whole: the API server may have sorted or merged it, so that places cannot be trusted.
 */
export function hideLike(value: Properties, pattern: Properties): Properties;
export function hideLike(value: Value, pattern: Value): Value;
export function hideLike(value: Value, pattern: Value): Value {
  if (isSecret(pattern)) return makeSecret(value);
  if (Array.isArray(pattern)) return containsSecret(pattern) ? makeSecret(value) : value;
  if (!isProperties(pattern) || !isProperties(value)) return value;
  const bag: Properties = { ...value };
  for (const [key, item] of Object.entries(pattern)) {
    const found = bag[key];
    if (found !== undefined) bag[key] = hideLike(found, item);
  }
  return bag;
}

/** A protobuf struct as properties; absent is empty. */
export function fromStruct(struct: Struct | undefined): Properties {
  const bag: Properties = {};
  struct?.getFieldsMap().forEach((value, key) => {
    bag[key] = fromProto(value);
  });
  return bag;
}

export function toStruct(bag: Properties): Struct {
  return Struct.fromJavaScript(bag);
}

function fromProto(value: ProtoValue): Value {
  switch (value.getKindCase()) {
    case ProtoValue.KindCase.NUMBER_VALUE:
      return value.getNumberValue();
    case ProtoValue.KindCase.STRING_VALUE:
      return value.getStringValue();
    case ProtoValue.KindCase.BOOL_VALUE:
      return value.getBoolValue();
    case ProtoValue.KindCase.STRUCT_VALUE:
      return fromStruct(value.getStructValue());
    case ProtoValue.KindCase.LIST_VALUE:
      return (value.getListValue()?.getValuesList() ?? []).map(fromProto);
    case ProtoValue.KindCase.NULL_VALUE:
    case ProtoValue.KindCase.KIND_NOT_SET:
      return null;
  }
}
