import type { V1ConfigMap, V1Container, V1EnvVar, V1Secret } from "@kubernetes/client-node";
import { fieldValue, type PodFacts, resourceValue } from "./fields";

/** Where a Pod's ConfigMaps and Secrets are looked up (always in the Pod's own namespace). */
export interface ObjectSource {
  configMap(name: string): V1ConfigMap | undefined;
  secret(name: string): V1Secret | undefined;
}

/** The container cannot start as it is written; its status carries reason and message until that changes. */
export class ContainerConfigError extends Error {
  override readonly name = "ContainerConfigError";
  readonly reason: string;
  constructor(message: string, reason = "CreateContainerConfigError") {
    super(message);
    this.reason = reason;
  }
}

/**
 * Replaces `$(NAME)` by the variable's value; an unknown name stays as it is, and `$$` is one `$`.
 * https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
 */
export function expand(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (match, name: string | undefined) => {
    if (name === undefined) return "$";
    return variables.get(name) ?? match;
  });
}

/**
 * A container's environment: the image's, then `base` (what the kubelet itself adds), then envFrom, then env, the later
 * one winning.
 * @throws ContainerConfigError when a ConfigMap, Secret or key that is not optional is missing.
 */
export function containerEnvironment(
  container: V1Container,
  imageEnvironment: Record<string, string>,
  base: Record<string, string>,
  facts: PodFacts,
  objects: ObjectSource,
): Map<string, string> {
  const variables = new Map([...Object.entries(imageEnvironment), ...Object.entries(base)]);
  for (const source of container.envFrom ?? []) {
    for (const [key, value] of Object.entries(wholeObject(source, objects))) {
      variables.set(`${source.prefix ?? ""}${key}`, value);
    }
  }
  for (const variable of container.env ?? []) {
    const value = variable.valueFrom
      ? referencedValue(variable, container, facts, objects)
      : expand(variable.value ?? "", variables);
    if (value !== undefined) variables.set(variable.name, value);
  }
  return variables;
}

type EnvFromSource = NonNullable<V1Container["envFrom"]>[number];

function wholeObject(source: EnvFromSource, objects: ObjectSource): Record<string, string> {
  if (source.configMapRef) {
    const { name = "", optional } = source.configMapRef;
    const found = objects.configMap(name);
    if (!found && !optional) throw new ContainerConfigError(`configmap "${name}" not found`);
    return found?.data ?? {};
  }
  const { name = "", optional } = source.secretRef ?? {};
  const found = objects.secret(name);
  if (!found && !optional) throw new ContainerConfigError(`secret "${name}" not found`);
  return Object.fromEntries(Object.entries(found?.data ?? {}).map(([key, value]) => [key, decode(value)]));
}

function referencedValue(
  variable: V1EnvVar,
  container: V1Container,
  facts: PodFacts,
  objects: ObjectSource,
): string | undefined {
  const from = variable.valueFrom ?? {};
  if (from.fieldRef) {
    const value = fieldValue(from.fieldRef.fieldPath, facts);
    if (value === undefined) {
      throw new ContainerConfigError(
        `env "${variable.name}": field path "${from.fieldRef.fieldPath}" is not known to the sandbox's kubelet`,
      );
    }
    return value;
  }
  if (from.resourceFieldRef) return resourceValue(from.resourceFieldRef, facts, container);
  if (from.configMapKeyRef) {
    const { name = "", key, optional } = from.configMapKeyRef;
    const value = objects.configMap(name)?.data?.[key];
    return requireKey("configmap", name, key, value, optional, objects.configMap(name) !== undefined);
  }
  if (from.secretKeyRef) {
    const { name = "", key, optional } = from.secretKeyRef;
    const value = objects.secret(name)?.data?.[key];
    const text = value === undefined ? undefined : decode(value);
    return requireKey("secret", name, key, text, optional, objects.secret(name) !== undefined);
  }
  throw new ContainerConfigError(
    `env "${variable.name}": this kind of valueFrom is not known to the sandbox's kubelet`,
  );
}

function requireKey(
  kind: string,
  name: string,
  key: string,
  value: string | undefined,
  optional: boolean | undefined,
  exists: boolean,
): string | undefined {
  if (value !== undefined || optional) return value;
  throw new ContainerConfigError(
    exists ? `couldn't find key ${key} in ${kind} "${name}"` : `${kind} "${name}" not found`,
  );
}

function decode(base64: string): string {
  return Buffer.from(base64, "base64").toString("utf8");
}
