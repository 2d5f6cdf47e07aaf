import { mkdir } from "node:fs/promises";
import {
  CoreV1Api,
  DiscoveryV1Api,
  PatchStrategy,
  setHeaderOptions,
  type V1EndpointSlice,
  type V1Service,
} from "@kubernetes/client-node";
import { SandboxError } from "../error";
import { errorText, watchObjects } from "../kubelet/watch";
import { partPath } from "../parts/find";
import { Haproxy } from "./haproxy";
import { proxyProtocolWish, readyTargets, servicePorts } from "./targets";
import type { LoadBalancer, LoadBalancerOptions, LoadBalancerState } from "./types";

const retryMilliseconds = 1000;

/**
 * Follows the Service until `stop`. Has to run where its addresses are and the Pods can be reached.
 * An API server that does not answer is tried again, with a line in the log.
 */
export async function startLoadBalancer(options: LoadBalancerOptions): Promise<LoadBalancer> {
  await mkdir(options.directory, { recursive: true });
  const { kubeConfig, log } = options;
  const { namespace, name } = options.service;
  const core = kubeConfig.makeApiClient(CoreV1Api);
  const discovery = kubeConfig.makeApiClient(DiscoveryV1Api);
  const follower = new Follower(options, (hostname) => writeStatus(core, options, hostname));

  const labelSelector = `kubernetes.io/service-name=${name}`;
  const fieldSelector = `metadata.name=${name}`;
  const slices = await watchObjects<V1EndpointSlice>(kubeConfig, {
    what: `EndpointSlices of ${namespace}/${name}`,
    path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
    labelSelector,
    list: () => discovery.listNamespacedEndpointSlice({ namespace, labelSelector }),
    onChange: () => follower.changed(),
    log,
  });
  const services = await watchObjects<V1Service>(kubeConfig, {
    what: `Service ${namespace}/${name}`,
    path: `/api/v1/namespaces/${namespace}/services`,
    fieldSelector,
    list: () => core.listNamespacedService({ namespace, fieldSelector }),
    onChange: () => follower.changed(),
    log,
  });
  follower.follow(() => ({ service: services.get(namespace, name), slices: slices.list() }));

  return {
    state: () => follower.state,
    inForce: (what, condition, timeout = 30_000) => follower.inForce(what, condition, timeout),
    stop: async () => {
      services.stop();
      slices.stop();
      await follower.stop();
    },
  };
}

async function writeStatus(core: CoreV1Api, options: LoadBalancerOptions, hostname: string): Promise<void> {
  await core.patchNamespacedServiceStatus(
    { ...options.service, body: { status: { loadBalancer: { ingress: [{ hostname }] } } } },
    setHeaderOptions("Content-Type", PatchStrategy.MergePatch),
  );
}

type Source = () => { service: V1Service | undefined; slices: readonly V1EndpointSlice[] };

/** Brings HAProxy to what the Service asks for, one configuration after another. */
class Follower {
  state: LoadBalancerState = { proxyProtocol: false, targets: [], ports: [], generation: 0 };
  private readonly haproxy: Haproxy;
  private readonly waiters = new Set<() => void>();
  private source: Source | undefined;
  private working: Promise<void> | undefined;
  private dirty = false;
  private stopped = false;
  private lost = false;
  private remarks = "";
  private problem = "";

  constructor(
    private readonly options: LoadBalancerOptions,
    private readonly report: (hostname: string) => Promise<void>,
  ) {
    this.haproxy = new Haproxy(options.program ?? partPath("haproxy"), options.directory, (reason) => {
      options.log(`HAProxy ended by itself (${reason}); starting it again`);
      this.lost = true;
      this.changed();
    });
  }

  follow(source: Source): void {
    this.source = source;
    this.changed();
  }

  changed(): void {
    this.dirty = true;
    this.working ??= this.work().finally(() => (this.working = undefined));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await this.working;
    await this.haproxy.stop();
    this.state = { ...this.state, targets: [], ports: [] };
  }

  inForce(
    what: string,
    condition: (state: LoadBalancerState) => boolean,
    timeout: number,
  ): Promise<LoadBalancerState> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        if (!condition(this.state)) return;
        this.waiters.delete(check);
        clearTimeout(timer);
        resolve(this.state);
      };
      const timer = setTimeout(() => {
        this.waiters.delete(check);
        const seconds = timeout / 1000;
        reject(
          new SandboxError(
            `Load balancer: ${what} not in force after ${seconds} s; ${JSON.stringify(this.state)}.`,
          ),
        );
      }, timeout);
      this.waiters.add(check);
      check();
    });
  }

  private async work(): Promise<void> {
    while (this.dirty && !this.stopped) {
      this.dirty = false;
      try {
        await this.bringAbout();
        this.problem = "";
      } catch (error) {
        const problem = errorText(error);
        if (problem !== this.problem) this.options.log(`load balancer: ${problem}`);
        this.problem = problem;
        setTimeout(() => this.changed(), retryMilliseconds).unref();
        return;
      }
    }
  }

  private async bringAbout(): Promise<void> {
    if (!this.source) return;
    const { service, slices } = this.source();
    if (service?.spec?.type !== "LoadBalancer") {
      if (this.state.ports.length === 0) return;
      await this.haproxy.stop();
      this.enter({ proxyProtocol: false, targets: [], ports: [] });
      return;
    }
    const wish = proxyProtocolWish(service);
    this.remark(wish.remarks);
    const wanted = {
      proxyProtocol: wish.proxyProtocol ?? this.state.proxyProtocol,
      targets: readyTargets(service, slices),
      ports: servicePorts(service),
    };
    const { proxyProtocol, targets, ports } = this.state;
    const inForce = JSON.stringify({ proxyProtocol, targets, ports });
    if (this.state.generation === 0 || this.lost || inForce !== JSON.stringify(wanted)) {
      await this.haproxy.apply({ ...wanted, addresses: this.options.addresses });
      this.lost = false;
      this.enter(wanted);
    }
    const { namespace, name } = this.options.service;
    const hostname = this.options.hostname ?? `${namespace}-${name}.elb.sandbox.internal`;
    if (service.status?.loadBalancer?.ingress?.[0]?.hostname !== hostname) await this.report(hostname);
  }

  private enter(state: Omit<LoadBalancerState, "generation">): void {
    this.state = { ...state, generation: this.state.generation + 1 };
    const targets = state.targets.map(({ port, address, targetPort }) => `${port}->${address}:${targetPort}`);
    this.options.log(
      `load balancer: PROXY protocol ${state.proxyProtocol ? "on" : "off"}, targets ${targets.join(" ") || "none"}`,
    );
    for (const waiter of [...this.waiters]) waiter();
  }

  private remark(remarks: string[]): void {
    const text = remarks.join("\n");
    if (text !== this.remarks) for (const line of remarks) this.options.log(`load balancer: ${line}`);
    this.remarks = text;
  }
}
