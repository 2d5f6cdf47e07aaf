import http from "node:http";
import https from "node:https";
import type { KubeConfig } from "@kubernetes/client-node";
import { isProperties, listAt, parseJson, propertiesAt, textAt, type Properties, type Value } from "./values";

/** The API server cannot be reached; the message is one sentence with its address. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

/** The API server said no; the message is its own. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    message: string,
    /** HTTP status, e.g. 409. */
    readonly status: number,
    /** Kubernetes' reason, e.g. `AlreadyExists`; `""` when it gave none. */
    readonly reason: string,
    /** The causes of a rejection: `field` and `reason`, e.g. `FieldValueRequired`. */
    readonly causes: readonly { readonly field: string; readonly reason: string }[] = [],
  ) {
    super(message);
  }
}

/** Kubernetes has no such kind (yet): probably the CustomResourceDefinition is missing. */
export class UnknownKindError extends Error {
  override readonly name = "UnknownKindError";

  constructor(apiVersion: string, kind: string) {
    super(`no matches for kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`);
  }
}

/** Where the objects of a kind live. */
export interface KindInfo {
  readonly plural: string;
  readonly namespaced: boolean;
}

/** An object's place: kind, name, and its namespace where the kind has one (default `default`). */
export interface Place {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: Value;
  /** Default `application/json`. */
  readonly contentType?: string;
}

const requestTimeout = 30_000;

/** A Kubernetes API server: requests in JSON, and discovery of kinds. */
export class ApiServer {
  private readonly kinds = new Map<string, Map<string, KindInfo>>();
  private readonly url: URL;

  /** @throws UnreachableError when the kubeconfig names no server. */
  constructor(
    private readonly config: KubeConfig,
    private readonly canceled: AbortSignal,
  ) {
    const server = config.getCurrentCluster()?.server;
    if (server === undefined || !URL.canParse(server)) {
      throw new UnreachableError(
        `the kubeconfig names no API server for its context ${JSON.stringify(config.getCurrentContext())}`,
      );
    }
    this.url = new URL(server);
  }

  /** The server's address as the kubeconfig has it. */
  get address(): string {
    return this.url.origin;
  }

  /** Forgets all kinds; a CustomResourceDefinition has changed. */
  forgetKinds(): void {
    this.kinds.clear();
  }

  /**
   * The plural and scope of a kind. What is not known is asked again, since its definition may just have been made.
   * @throws UnknownKindError, UnreachableError, ApiError
   */
  async kindInfo(apiVersion: string, kind: string): Promise<KindInfo> {
    const known = this.kinds.get(apiVersion)?.get(kind) ?? (await this.discover(apiVersion)).get(kind);
    if (known === undefined) throw new UnknownKindError(apiVersion, kind);
    return known;
  }

  /** The path of an object, or of the collection when `name` is left out. */
  async path(place: Omit<Place, "name">, name?: string): Promise<string> {
    const { plural, namespaced } = await this.kindInfo(place.apiVersion, place.kind);
    const scope = namespaced ? `/namespaces/${encodeURIComponent(place.namespace || "default")}` : "";
    const object = name === undefined ? "" : `/${encodeURIComponent(name)}`;
    return `${groupPath(place.apiVersion)}${scope}/${plural}${object}`;
  }

  /** One request; its answer is parsed JSON. @throws UnreachableError, ApiError */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Properties> {
    const text = options.body === undefined ? undefined : JSON.stringify(options.body);
    const headers: http.OutgoingHttpHeaders = { accept: "application/json" };
    if (text !== undefined) {
      headers["content-type"] = options.contentType ?? "application/json";
      // Node would send a DELETE's body chunked without saying so, and the server then ignores its options.
      headers["content-length"] = Buffer.byteLength(text);
    }
    const query = new URLSearchParams(options.query).toString();
    const target = `${this.url.pathname.replace(/\/$/, "")}${path}${query === "" ? "" : `?${query}`}`;
    const { status, body } = await this.send(method, target, headers, text);
    const answer = parseAnswer(body);
    if (status >= 200 && status < 300) return answer;
    throw rejection(status, answer, body);
  }

  private async send(
    method: string,
    path: string,
    headers: http.OutgoingHttpHeaders,
    body: string | undefined,
  ): Promise<{ status: number; body: string }> {
    const options: https.RequestOptions = { method, headers };
    // Certificates, tokens and exec plug-ins; it adds the authorization header to the ones given.
    await this.config.applyToHTTPSOptions(options).catch((error: unknown) => {
      throw new UnreachableError(`no credentials for ${this.address}: ${reasonOf(error)}`);
    });
    const timeout = AbortSignal.timeout(requestTimeout);
    try {
      return await new Promise((resolve, reject) => {
        const request = (this.url.protocol === "https:" ? https : http).request(
          new URL(path, this.url),
          { ...options, signal: AbortSignal.any([this.canceled, timeout]) },
          (response) => {
            const chunks: Buffer[] = [];
            response.on("data", (chunk: Buffer) => chunks.push(chunk));
            response.on("error", reject);
            response.on("end", () =>
              resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
            );
          },
        );
        request.on("error", reject);
        request.end(body);
      });
    } catch (error) {
      if (this.canceled.aborted) throw new Error("canceled", { cause: error });
      const reason = timeout.aborted ? `no answer within ${requestTimeout / 1000} s` : reasonOf(error);
      throw new UnreachableError(`${this.address}: ${reason}`);
    }
  }

  private async discover(apiVersion: string): Promise<Map<string, KindInfo>> {
    const answer = await this.request("GET", groupPath(apiVersion)).catch((error: unknown) => {
      if (error instanceof ApiError && error.status === 404) return {};
      throw error;
    });
    const kinds = new Map<string, KindInfo>();
    for (const resource of listAt(answer, "resources")) {
      const plural = textAt(resource, "name");
      // `deployments/scale` and the like are doors into an object, not kinds of their own.
      if (plural.includes("/")) continue;
      kinds.set(textAt(resource, "kind"), { plural, namespaced: resource["namespaced"] === true });
    }
    this.kinds.set(apiVersion, kinds);
    return kinds;
  }
}

function groupPath(apiVersion: string): string {
  return apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
}

function parseAnswer(body: string): Properties {
  try {
    const value = parseJson(body);
    return isProperties(value) ? value : {};
  } catch {
    return {};
  }
}

function rejection(status: number, answer: Properties, body: string): ApiError {
  const message = textAt(answer, "message") || body.trim().slice(0, 500) || `HTTP status ${status}`;
  const causes = listAt(propertiesAt(answer, "details"), "causes").map((cause) => ({
    field: textAt(cause, "field"),
    reason: textAt(cause, "reason"),
  }));
  return new ApiError(message, status, textAt(answer, "reason"), causes);
}

const networkReasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EHOSTUNREACH: "no route to host",
  ENETUNREACH: "network is unreachable",
  ENOTFOUND: "no such host",
  ETIMEDOUT: "timed out",
};

function reasonOf(error: unknown): string {
  // With more than one address to try, Node's error has a code and no message.
  const code =
    typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
      ? error.code
      : "";
  return networkReasons[code] ?? ((error instanceof Error ? error.message : String(error)) || code);
}
