import { annotation, annotations, uniqueName } from "./objects";
import {
  containsSecret,
  hideLike,
  isProperties,
  isSecret,
  makeSecret,
  omit,
  revealSecrets,
  textAt,
  type Properties,
} from "./values";

/** What the engine's state holds of an object, read back. */
export interface Checkpoint {
  /** The inputs it was last applied with, or what a refresh found of them; secrets wrapped. */
  readonly inputs: Properties;
  /** The object as the API server last had it, without wrapping. */
  readonly live: Properties;
  /** `""` when the state names none. */
  readonly fieldManager: string;
}

const inputsKey = "__inputs";
const fieldManagerKey = "__fieldManager";
const initialApiVersionKey = "__initialApiVersion";

/**
 * The state to store: the live object with the official provider's three keys beside it, so that a stack can be
 * handed over from one to the other. What is secret in the inputs is secret everywhere in it.
 */
export function writeCheckpoint(live: Properties, inputs: Properties, fieldManager: string): Properties {
  return {
    ...hideSecretData(hideLike(live, inputs), inputs),
    [inputsKey]: inputs,
    [initialApiVersionKey]: textAt(revealSecrets(inputs), "apiVersion"),
    [fieldManagerKey]: fieldManager,
  };
}

/** The reverse. `oldInputs`, the engine's own record, serves where the state has none. */
export function readCheckpoint(state: Properties, oldInputs: Properties = {}): Checkpoint {
  const inputs = state[inputsKey];
  return {
    inputs: isProperties(inputs) ? unwrapWhole(inputs) : oldInputs,
    live: revealSecrets(omit(state, inputsKey, fieldManagerKey, initialApiVersionKey)),
    fieldManager: textAt(state, fieldManagerKey),
  };
}

/** Whom the fields belong to: the annotation's manager, the one of the state, or a new name. */
export function fieldManagerOf(inputs: Properties, state = ""): string {
  return (
    annotation(revealSecrets(inputs), annotations.fieldManager) ||
    state ||
    uniqueName("pulumi-kubernetes", new Uint8Array())
  );
}

/** A Secret's `stringData` comes back as `data`, which no wrapping of the inputs points at. */
function hideSecretData(live: Properties, inputs: Properties): Properties {
  const text = inputs["stringData"];
  const data = live["data"];
  if (textAt(live, "kind") !== "Secret" || text === undefined || data === undefined) return live;
  if (isSecret(text)) return { ...live, data: makeSecret(data) };
  if (!containsSecret(text) || !isProperties(data) || !isProperties(text)) return live;
  return { ...live, data: hideLike(data, text) };
}

function unwrapWhole(inputs: Properties): Properties {
  const value = inputs["value"];
  return isSecret(inputs) && isProperties(value) ? value : inputs;
}
