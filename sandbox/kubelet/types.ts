import type { KubeConfig } from "@kubernetes/client-node";

/** One file or folder of this machine that an image shows at a path of its own, read-only. */
export interface ImageFile {
  /** Path on this machine; symbolic links are followed when the container starts. */
  from: string;
  /** Absolute path inside the container. */
  to: string;
}

/** What stands in for a container image: files of this machine and how to start them. */
export interface Image {
  /** Command used when the container names none; its first word is a path inside the container. */
  entrypoint: string[];
  files: ImageFile[];
  /** Environment of the image; the container's own entries win. Default: PATH alone. */
  env?: Record<string, string>;
  /** Empty folders to make, e.g. the mount points or the home of the program. Default: /tmp alone. */
  directories?: string[];
  /** User the image asks for, used when the Pod names none. Default 0 (root, still without capabilities). */
  user?: number;
  /** Folder the command starts in, when the container names none. Default "/". */
  workingDirectory?: string;
}

/**
 * Images by name: `docker.io/library/node` (any tag or digest) or `docker.io/library/node:24` (that tag only; wins).
 * Short names are understood as Docker understands them: `node` is `docker.io/library/node`.
 */
export type ImageTable = Readonly<Record<string, Image>>;

/** Programs the kubelet calls, as absolute paths. */
export interface Programs {
  ip: string;
  nsenter: string;
  bwrap: string;
}

export interface KubeletOptions {
  /** Must be allowed what a kubelet and its node may do; the sandbox gives it its administrator. */
  kubeConfig: KubeConfig;
  /** Name of the one Node object. */
  nodeName: string;
  /** Address of the node, e.g. "10.244.0.1": the bridge's own, and every Pod's default route. */
  nodeAddress: string;
  /** The bridge that Pods are plugged into, and the network their addresses come from (from x.x.1.1 upward). */
  podNetwork: { bridge: string; cidr: string };
  images: ImageTable;
  /** Folder for volumes and logs; made when missing. Volumes go when their Pod goes, logs stay. */
  directory: string;
  /** One line a time, no newline at the end. */
  log: (line: string) => void;
  /**
   * Extra names for every Pod's /etc/hosts (name -> address), in place of the cluster DNS that the sandbox lacks.
   * Read when a Pod starts. Default: none.
   */
  hosts?: () => Record<string, string>;
  /** Default: the parts of these names. */
  programs?: Programs;
  /** Wait before a failed container starts again: doubled each time. Default first 10, longest 300, as the real one. */
  restartBackOffSeconds?: { first: number; longest: number };
}

export interface Kubelet {
  /** File with a container's stdout and stderr in the order written; appended to over restarts. */
  logPath(namespace: string, pod: string, container: string): string;
  /** Ends every process of a Pod with SIGKILL, as running out of memory does; it starts again by its restart policy. */
  kill(namespace: string, pod: string): void;
  /**
   * Ends every container (SIGTERM, then SIGKILL; 5 seconds at most), removes network namespaces, interfaces and
   * volumes it made, and leaves the Pod objects as they are. Safe to call twice.
   */
  stop(): Promise<void>;
}
