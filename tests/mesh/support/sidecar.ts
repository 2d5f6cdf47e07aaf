import { AppsV1Api, type V1Container, type V1Deployment, type V1EnvVar } from "@kubernetes/client-node";
import { applyObjects, gatewayDeployment } from "../../../sandbox/cluster";
import type { ControlPlane } from "../../../sandbox/controlPlane";

/** Where the exporter listens behind its sidecar. */
const innerPort = 14317;

/**
 * Gives a Deployment's pods a sidecar, in the place of Istio's injection webhook: a real pilot-agent with a real Envoy,
 * configured by the real istiod as a sidecar. Without iptables: Envoy itself listens on the port (a Sidecar object
 * with captureMode NONE), and the exporter is told to listen on loopback behind it.
 *
 * It does not prove: the webhook, its template and annotations, and the redirection into the sidecar.
 */
export async function addSidecar(
  controlPlane: ControlPlane,
  { namespace, name, port }: { namespace: string; name: string; port: number },
): Promise<void> {
  const apps = controlPlane.kubeConfig.makeApiClient(AppsV1Api);
  const deployment = await apps.readNamespacedDeployment({ namespace, name });
  const selector = deployment.spec?.selector.matchLabels ?? {};
  await applyObjects(
    controlPlane.kubeConfig,
    [
      {
        apiVersion: "networking.istio.io/v1",
        kind: "Sidecar",
        metadata: { namespace, name },
        spec: {
          workloadSelector: { labels: selector },
          ingress: [
            {
              port: { number: port, protocol: "GRPC", name: "grpc-otlp" },
              bind: "0.0.0.0",
              captureMode: "NONE",
              defaultEndpoint: `127.0.0.1:${innerPort}`,
            },
          ],
          // Without redirection Envoy would listen on the ports of all other services too, the exporter's own among them.
          egress: [{ hosts: ["~/*"] }],
        },
      },
    ],
    "test",
  );
  await apps.replaceNamespacedDeployment({ namespace, name, body: withSidecar(deployment) });
}

function withSidecar(deployment: V1Deployment): V1Deployment {
  const template = deployment.spec?.template;
  const gateway = gatewayDeployment().spec?.template.spec;
  const [proxy] = gateway?.containers ?? [];
  if (template?.spec === undefined || proxy === undefined || gateway === undefined)
    throw new Error("there is no pod to add a sidecar to");
  // What the webhook tells the world by: istiod sends mutual TLS only to pods with this label.
  const labels = { ...template.metadata?.labels, "security.istio.io/tlsMode": "istio" };
  template.metadata = { ...template.metadata, labels };
  template.spec.volumes = [...(template.spec.volumes ?? []), ...(gateway.volumes ?? [])];
  template.spec.initContainers = [sidecar(proxy, deployment.metadata?.name ?? "", labels)];
  for (const container of template.spec.containers)
    container.args = [...(container.args ?? []), `--otlp-listen=127.0.0.1:${innerPort}`];
  return deployment;
}

function sidecar(proxy: V1Container, workload: string, labels: Record<string, string>): V1Container {
  const replaced: V1EnvVar[] = [
    { name: "ISTIO_METAJSON_LABELS", value: JSON.stringify(labels) },
    { name: "ISTIO_META_WORKLOAD_NAME", value: workload },
    { name: "ISTIO_META_INTERCEPTION_MODE", value: "NONE" },
  ];
  const kept = (proxy.env ?? []).filter(
    ({ name }) => name !== "ISTIO_META_OWNER" && !replaced.some((each) => each.name === name),
  );
  const { readinessProbe, ...rest } = proxy;
  return {
    ...rest,
    // A native sidecar: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
    restartPolicy: "Always",
    ...(readinessProbe === undefined ? {} : { startupProbe: readinessProbe }),
    args: ["proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--proxyLogLevel=warning"],
    ports: [{ containerPort: 15021, name: "status-port" }],
    env: [...kept, ...replaced],
    securityContext: { ...proxy.securityContext, runAsUser: 1337, runAsGroup: 1337, runAsNonRoot: true },
  };
}
