import { readdir, readFile, stat } from "node:fs/promises";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubeConfig } from "@kubernetes/client-node";
import { z } from "zod";
import { SandboxError } from "../error";

const fieldManager = "sandbox";

/** A CustomResourceDefinition as it came: its name, and the YAML text. */
export interface DefinitionText {
  readonly name: string;
  readonly text: string;
}

/** Splits a YAML file of definitions, by text: parsing megabytes of schema here would take seconds. */
export function splitDefinitions(text: string): DefinitionText[] {
  return text.split(/^---.*$/m).flatMap((document) => {
    if (!/^kind: CustomResourceDefinition$/m.test(document)) return [];
    const name = /^ {2}name: "?([a-z0-9.-]+)"?$/m.exec(document)?.[1];
    if (name === undefined) throw new SandboxError("A CustomResourceDefinition has no metadata.name.");
    return [{ name, text: document }];
  });
}

/** Reads the definitions of a YAML file, or of every YAML file in a directory. */
export async function readDefinitions(path: string): Promise<DefinitionText[]> {
  const isDirectory = (await stat(path)).isDirectory();
  const names = isDirectory ? (await readdir(path)).filter((name) => /\.ya?ml$/.test(name)) : [];
  const files = isDirectory ? names.map((name) => join(path, name)) : [path];
  const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));
  return texts.flatMap(splitDefinitions);
}

/**
 * Applies definitions and waits until the API server serves all of them.
 *
 * @throws {SandboxError} when one is refused, or not served within 30 s.
 */
export async function applyDefinitions(
  kubeConfig: KubeConfig,
  definitions: readonly DefinitionText[],
): Promise<void> {
  const api = new RawApi(kubeConfig);
  try {
    await Promise.all(definitions.map((definition) => applyDefinition(api, definition)));
    await waitUntilServed(api, new Set(definitions.map(({ name }) => name)));
  } finally {
    api.close();
  }
}

async function applyDefinition(api: RawApi, { name, text }: DefinitionText): Promise<void> {
  const { status, body } = await api.send({
    method: "PATCH",
    path: `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}?fieldManager=${fieldManager}&force=true`,
    headers: { "content-type": "application/apply-patch+yaml" },
    body: text,
  });
  if (status >= 300) {
    throw new SandboxError(
      `The API server refused the definition ${name} (${status}): ${body.slice(0, 500)}`,
    );
  }
}

// The discovery document rather than the definitions' status: listing those would carry all schemas each time.
const discovery = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string().optional() }),
      versions: z
        .array(z.object({ resources: z.array(z.object({ resource: z.string().optional() })).optional() }))
        .optional(),
    }),
  ),
});

async function waitUntilServed(api: RawApi, names: ReadonlySet<string>): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const { body } = await api.send({
      method: "GET",
      path: "/apis",
      headers: { accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" },
    });
    const missing = new Set(names);
    for (const { metadata, versions } of discovery.parse(JSON.parse(body)).items) {
      for (const { resource } of versions?.flatMap(({ resources }) => resources ?? []) ?? []) {
        missing.delete(`${resource}.${metadata.name}`);
      }
    }
    if (missing.size === 0) return;
    if (Date.now() > deadline) {
      throw new SandboxError(
        `The API server did not serve these definitions within 30 s: ${[...missing].join(", ")}.`,
      );
    }
    await sleep(100);
  }
}

interface RawRequest {
  readonly method: "GET" | "PATCH";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Requests with a body or an answer that the typed client cannot carry as it is. */
class RawApi {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 4 });

  constructor(private readonly kubeConfig: KubeConfig) {}

  async send(options: RawRequest): Promise<{ status: number; body: string }> {
    const decode = (text: string | undefined): Buffer => Buffer.from(text ?? "", "base64");
    const cluster = this.kubeConfig.getCurrentCluster();
    const user = this.kubeConfig.getCurrentUser();
    const { method, headers, path, body } = options;
    const identity = {
      ca: decode(cluster?.caData),
      cert: decode(user?.certData),
      key: decode(user?.keyData),
    };
    return new Promise((resolve, reject) => {
      const sent = request(
        `${cluster?.server ?? ""}${path}`,
        { method, headers, agent: this.agent, ...identity },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
          response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
          response.on("error", reject);
        },
      );
      sent.on("error", reject);
      sent.end(body);
    });
  }

  close(): void {
    this.agent.destroy();
  }
}
