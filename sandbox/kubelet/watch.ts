import {
  ApiException,
  type KubeConfig,
  type KubernetesListObject,
  type KubernetesObject,
  ListWatch,
  Watch,
} from "@kubernetes/client-node";

/** A copy of one kind of object, kept fresh by the API server's watch. */
export interface ObjectWatch<T extends KubernetesObject> {
  get(namespace: string, name: string): T | undefined;
  list(): readonly T[];
  stop(): void;
}

export interface WatchOptions<T extends KubernetesObject> {
  /** For log lines, e.g. "Pods". */
  what: string;
  /** API path to watch, e.g. "/api/v1/pods". */
  path: string;
  fieldSelector?: string;
  labelSelector?: string;
  /** Must apply the same selectors. */
  list: () => Promise<KubernetesListObject<T>>;
  /**
   * Called for each object that appeared, changed or went (`gone`). It must not throw: the client swallows that.
   * Objects that arrive by the watch carry their times as strings, whatever their type says.
   */
  onChange: (object: T, gone: boolean) => void;
  log: (line: string) => void;
}

/** Wait before a watch that ended with an error is opened again. */
const retryMilliseconds = 500;

/** Lists, then watches for ever; lists anew when the server no longer has the changes in between (410). */
export async function watchObjects<T extends KubernetesObject>(
  kubeConfig: KubeConfig,
  options: WatchOptions<T>,
): Promise<ObjectWatch<T>> {
  const informer = new ListWatch<T>(
    options.path,
    new Watch(kubeConfig),
    options.list,
    false,
    options.labelSelector,
    options.fieldSelector,
  );
  let stopped = false;
  let failing = false;
  const tell = (object: T, gone: boolean): void => {
    failing = false;
    options.onChange(object, gone);
  };
  informer.on("add", (object) => tell(object, false));
  informer.on("update", (object) => tell(object, false));
  informer.on("delete", (object) => tell(object, true));
  const retry = (error: unknown): void => {
    if (stopped) return;
    if (!failing) options.log(`the watch of ${options.what} broke off, trying again: ${errorText(error)}`);
    failing = true;
    // The informer stops for good at an error and leaves starting again to its user.
    setTimeout(() => void start(), retryMilliseconds);
  };
  informer.on("error", retry);

  async function start(): Promise<void> {
    if (stopped) return;
    await informer.start().catch(retry);
  }

  await start();
  return {
    get: (namespace, name) => informer.get(name, namespace),
    list: () => informer.list(),
    stop: () => {
      stopped = true;
      void informer.stop();
    },
  };
}

/** The message of anything thrown in one line: the API server's own words, or the cause that `fetch` hides. */
export function errorText(error: unknown): string {
  if (error instanceof ApiException) return `${statusMessage(error.body)} (HTTP ${error.code})`;
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : "";
  return `${error.message.split("\n")[0]}${cause}`;
}

function statusMessage(body: unknown): string {
  try {
    const status: unknown = typeof body === "string" ? JSON.parse(body) : body;
    if (typeof status === "object" && status !== null && "message" in status) return String(status.message);
  } catch {
    // Not a Status object, e.g. an answer from something in between.
  }
  return "the API server refused the request";
}
