import { setTimeout as sleep } from "node:timers/promises";
import { ApiError, UnknownKindError, UnreachableError } from "./api";
import { annotation, annotations } from "./objects";
import type { Properties } from "./values";

/** The object was written, but did not become ready: the engine stores it, and tries it again next time. */
export class PartialError extends Error {
  override readonly name = "PartialError";

  constructor(
    message: string,
    readonly reasons: readonly string[],
    readonly stored: { readonly id: string; readonly state: Properties },
    readonly inputs: Properties,
  ) {
    super(message);
  }
}

/** Milliseconds to wait: the resource option (`seconds`, 0: none), the annotation, or the default. */
export function timeoutOf(seconds: number, inputs: Properties, fallback: number): number {
  if (seconds > 0) return seconds * 1000;
  const annotated = Number(annotation(inputs, annotations.timeoutSeconds));
  return Number.isInteger(annotated) && annotated > 0 ? annotated * 1000 : fallback;
}

const retryDelays = [1000, 2000, 4000, 8000, 16_000];

/**
 * Runs a creation again, up to five times, while its namespace or its kind is missing: both may be made by the
 * same update, and a new CustomResourceDefinition takes a moment to be served.
 */
export async function retryMissing<Result>(
  create: () => Promise<Result>,
  onRetry: (attempt: number, error: Error) => void,
  canceled: AbortSignal,
  delays: readonly number[] = retryDelays,
): Promise<Result> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await create();
    } catch (error) {
      const delay = delays[attempt];
      const missing =
        error instanceof UnknownKindError || (error instanceof ApiError && error.status === 404);
      if (!missing || delay === undefined) throw error;
      onRetry(attempt + 1, error);
      await sleep(delay, undefined, { signal: canceled });
    }
  }
}

/** Whether the API server says that the object is not there. */
export function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

/** What makes a dry run say nothing: no right to it, an object that is still there, a namespace yet to come. */
export function isNoPreview(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  if (error.status === 403 || error.reason === "AlreadyExists") return true;
  return error.status === 404 && /^namespaces .* not found$/.test(error.message);
}

/** A patch whose object has no valid rest cannot be given back: says so as the official provider does. */
export function explainRequiredField(error: unknown): Error {
  const field =
    error instanceof ApiError
      ? error.causes.find((cause) => cause.reason === "FieldValueRequired")?.field
      : undefined;
  if (field === undefined) return describe(error, "");
  return new Error(
    "this Patch resource is currently managing a required field, so it can't be deleted directly. Either set the " +
      `\`retainOnDelete\` resource option, or transfer ownership of the field before deleting: ${field}`,
  );
}

/** One sentence for people; `prefix` says what failed, and is left out for a cluster that cannot be reached. */
export function describe(error: unknown, prefix: string): Error {
  if (error instanceof PartialError) return error;
  if (error instanceof UnreachableError) {
    return new Error(`configured Kubernetes cluster is unreachable: ${error.message}`);
  }
  const message = error instanceof Error ? error.message : String(error);
  const missing =
    error instanceof UnknownKindError ? ". Verify that any required CRDs have been created" : "";
  return new Error(`${prefix === "" ? "" : `${prefix}: `}${message}${missing}`);
}
