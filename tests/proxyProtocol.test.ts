import { ProxyProtocol } from "../components/proxyProtocol";
import { stages, type Stage } from "../configSchema";
import { record } from "./support/mocks";

const gateway = {
  namespace: "istio-system",
  service: "istio-ingressgateway",
  selector: { istio: "ingressgateway" },
};

async function deploy(stage: Stage) {
  const recorded = await record(() => {
    new ProxyProtocol("proxy", { objectName: "vpsight", gateway, stage, loadBalancer: "controller" }, {});
  });
  return {
    recorded,
    filter: recorded.find(({ name }) => name === "proxy-listener")?.inputs,
    patch: recorded.find(({ name }) => name === "proxy-load-balancer")?.inputs,
  };
}

/** The gateway's half and the load balancer's half, stage by stage. */
const expected: Record<Stage, { allowsBare: boolean | undefined; sends: boolean; resources: number }> = {
  off: { allowsBare: undefined, sends: false, resources: 0 },
  accept: { allowsBare: true, sends: false, resources: 1 },
  send: { allowsBare: true, sends: true, resources: 2 },
  enforce: { allowsBare: false, sends: true, resources: 2 },
};

test.each(stages)("stage %s", async (stage) => {
  const { recorded, filter, patch } = await deploy(stage);
  expect(recorded).toHaveLength(expected[stage].resources);
  expect(patch !== undefined).toBe(expected[stage].sends);
  if (expected[stage].allowsBare === undefined) return;
  expect(filter).toMatchObject({
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: "vpsight-proxy-protocol", namespace: "istio-system" },
    spec: {
      workloadSelector: { labels: { istio: "ingressgateway" } },
      configPatches: [
        {
          applyTo: "LISTENER_FILTER",
          match: { context: "GATEWAY" },
          patch: {
            operation: "INSERT_FIRST",
            value: { typed_config: { allow_requests_without_proxy_protocol: expected[stage].allowsBare } },
          },
        },
      ],
    },
  });
});

test("the Service is patched with one annotation by a manager of our own, and never by force", async () => {
  const { patch } = await deploy("send");
  expect(patch).toEqual({
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: "istio-ingressgateway",
      namespace: "istio-system",
      annotations: {
        "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol": "*",
        "pulumi.com/patchFieldManager": "vpsight-proxy-protocol",
        "pulumi.com/skipAwait": "true",
      },
    },
  });
});
