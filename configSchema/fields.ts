import { z } from "zod";

/** Kinds of values that several sections of the config share. Every `error` text ends the sentence "must be …". */

/** A map with fixed keys: any other key is refused, with the known ones listed. */
export function section<Shape extends z.ZodRawShape>(shape: Shape) {
  const known = `known here: ${Object.keys(shape).join(", ")}`;
  return z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? known : "a map") });
}

export const dnsLabel = z
  .string({ error: "a DNS label such as vpsight" })
  .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, { error: "a DNS label such as vpsight" });
export const image = z
  .string({ error: "an image reference such as docker.io/library/node:24" })
  .regex(/^[^\s]+[:@][^\s/]+$/, {
    error: "an image reference with a tag or digest, such as docker.io/library/node:24",
  });
export const labels = z.record(z.string(), z.string({ error: "a string" }), { error: "a map of labels" });
/** Kiali drops series with an empty label without a word. */
export const labelValue = z
  .string({ error: "a label's value, not empty" })
  .min(1, { error: "a label's value, not empty" });
export const flag = z.boolean({ error: "true or false" });
export const integer = (least: number, most: number) => {
  const error = `an integer from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
};
export const cpu = z
  .string({ error: "a CPU quantity such as 250m" })
  .regex(/^\d+m?$/, { error: "a CPU quantity such as 250m" });
export const memory = z
  .string({ error: "a memory quantity such as 256Mi" })
  .regex(/^\d+(Ki|Mi|Gi)$/, { error: "a memory quantity such as 256Mi" });
export const duration = z
  .string({ error: "a duration such as 15s" })
  .regex(/^[1-9]\d*(ms|s|m)$/, { error: "a duration such as 15s" });
/** As protobuf's JSON form has it, which knows seconds only. */
export const seconds = z
  .string({ error: "a duration in seconds such as 1s or 0.5s" })
  .regex(/^\d+(\.\d{1,9})?s$/, { error: "a duration in seconds such as 1s or 0.5s" });
export const pathPrefix = z
  .string({ error: "a path prefix that starts with /" })
  .regex(/^\/[^?#\s]*$/, { error: "a path prefix that starts with / and has no query string" });
export const secretName = z
  .string({ error: "the name of a Secret" })
  .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, { error: "the name of a Secret" });

export function filePath(example: string) {
  const error = `a path such as ${example}`;
  return z.string({ error }).min(1, { error });
}
