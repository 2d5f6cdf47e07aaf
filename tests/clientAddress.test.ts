import { ClientAddress, clientAddressPatches } from "../components/clientAddress";
import { record } from "./support/mocks";

const gateway = {
  namespace: "istio-system",
  service: "istio-ingressgateway",
  selector: { istio: "ingressgateway" },
};

function settings(trustedHops: number, clientForwardedFor: "remove" | "keep") {
  const [patch] = clientAddressPatches({ trustedHops, clientForwardedFor });
  const value = patch?.patch?.value as { typed_config: Record<string, unknown> } | undefined;
  return value?.typed_config;
}

test("with no trusted hop the client's own X-Forwarded-For is dropped before Envoy adds the true address", () => {
  expect(settings(0, "remove")).toMatchObject({
    early_header_mutation_extensions: [{ typed_config: { mutations: [{ remove: "x-forwarded-for" }] } }],
  });
  expect(settings(0, "remove")).not.toHaveProperty("xff_num_trusted_hops");
});

test.each([1, 2, 10])("with %i trusted hops the header is kept, since the address stands in it", (hops) => {
  expect(settings(hops, "remove")).toMatchObject({ xff_num_trusted_hops: hops });
  expect(settings(hops, "remove")).not.toHaveProperty("early_header_mutation_extensions");
});

test("one filter on the gateway's pods, or none when nothing is to be changed", async () => {
  const args = { objectName: "vpsight", gateway, trustedHops: 0 };
  const kept = await record(
    () => void new ClientAddress("address", { ...args, clientForwardedFor: "keep" }, {}),
  );
  expect(kept).toEqual([]);
  const removed = await record(
    () => void new ClientAddress("address", { ...args, clientForwardedFor: "remove" }, {}),
  );
  expect(removed).toHaveLength(1);
  expect(removed[0]?.inputs).toMatchObject({
    kind: "EnvoyFilter",
    metadata: { name: "vpsight-client-address", namespace: "istio-system" },
    spec: { workloadSelector: { labels: { istio: "ingressgateway" } } },
  });
});
