import type { KubeConfig } from "@kubernetes/client-node";

export interface LoadBalancerOptions {
  /** Must be allowed to read Services and EndpointSlices and to write the Service's status. */
  kubeConfig: KubeConfig;
  /** The Service of type LoadBalancer to serve; it may appear later. */
  service: { namespace: string; name: string };
  /** Addresses to listen on, present on an interface of this network namespace. */
  addresses: string[];
  /** Folder for haproxy.cfg, the process's sockets and its log; made when missing. */
  directory: string;
  /** One line a time, no newline at the end. */
  log: (line: string) => void;
  /** Host name written to the Service's status. Default "<namespace>-<name>.elb.sandbox.internal". */
  hostname?: string;
  /** The haproxy program. Default: the part "haproxy". */
  program?: string;
}

/** One ready endpoint that connections of a Service port go to. */
export interface Target {
  /** Service port it serves, e.g. 443. */
  port: number;
  /** Pod address. */
  address: string;
  /** Port of the Pod. */
  targetPort: number;
}

/** What the running HAProxy does with new connections. */
export interface LoadBalancerState {
  /** Whether each connection to a target starts with a PROXY v2 header. */
  proxyProtocol: boolean;
  /** Sorted by port, then address. */
  targets: Target[];
  /** Ports it listens on, ascending. Empty: the Service does not exist, and nothing listens. */
  ports: number[];
  /** Counts the configurations put in force since the start; 0 before the first. */
  generation: number;
}

export interface LoadBalancer {
  /** What is in force now: the configuration of the HAProxy process that accepts new connections. */
  state(): LoadBalancerState;
  /**
   * Resolves with the state as soon as the configuration in force satisfies the condition.
   * @param timeoutMilliseconds default 30,000; a SandboxError that names `what` and the last state afterwards.
   */
  inForce(
    what: string,
    condition: (state: LoadBalancerState) => boolean,
    timeoutMilliseconds?: number,
  ): Promise<LoadBalancerState>;
  /** Ends HAProxy at once, with its connections. The Service's status is left. Safe to call twice. */
  stop(): Promise<void>;
}
