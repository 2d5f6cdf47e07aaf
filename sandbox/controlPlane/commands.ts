/** How each program of the control plane is started; what it needs of the others is in its arguments alone. */
import { join } from "node:path";
import { sandboxNetwork } from "../namespace/network";
import { partPath } from "../parts/find";
import type { ProcessOptions } from "../process";
import type { ControlPlaneFiles } from "./files";
import { answersOk } from "./http";

/** Programs of the control plane, in the order they start. */
export const controlPlaneParts = [
  "etcd",
  "kube-apiserver",
  "kube-controller-manager",
  "kube-scheduler",
  "istiod",
  "prometheus-operator",
] as const;

/** One program of the control plane. */
export type ControlPlanePart = (typeof controlPlaneParts)[number];

/** Addresses at which the control plane is reached inside the sandbox. */
export const controlPlaneAddresses = {
  kubernetes: `https://${sandboxNetwork.nodeAddress}:6443`,
  /** Host and port of istiod's configuration and certificate service (mutual TLS or token). */
  istiodSecure: `${sandboxNetwork.nodeAddress}:15012`,
  /** istiod's own metrics. */
  istiodMetrics: `http://${sandboxNetwork.nodeAddress}:15014/metrics`,
} as const;

/** The name istiod gives the cluster, and that Kiali calls its home cluster. */
export const clusterName = "Kubernetes";

const etcdClient = "http://127.0.0.1:2379";
const etcdPeer = "http://127.0.0.1:2380";

type Command = Omit<ProcessOptions, "name" | "logFile">;

/** The command line, environment and readiness check of a part. */
export function partCommand(part: ControlPlanePart, files: ControlPlaneFiles): Command {
  switch (part) {
    case "etcd":
      return etcd(files);
    case "kube-apiserver":
      return apiServer(files);
    case "kube-controller-manager":
      return controllerManager(files);
    case "kube-scheduler":
      return scheduler(files);
    case "istiod":
      return istiod(files);
    case "prometheus-operator":
      return prometheusOperator(files);
  }
}

function etcd(files: ControlPlaneFiles): Command {
  return {
    command: partPath("etcd"),
    args: [
      "--name=sandbox",
      // On a tmpfs: nothing of a run has to survive it, and syncing to a disk is most of a start's time.
      `--data-dir=${join(files.directory, "etcd")}`,
      `--listen-client-urls=${etcdClient}`,
      `--advertise-client-urls=${etcdClient}`,
      `--listen-peer-urls=${etcdPeer}`,
      `--initial-advertise-peer-urls=${etcdPeer}`,
      `--initial-cluster=sandbox=${etcdPeer}`,
      "--logger=zap",
      "--log-level=warn",
    ],
    ready: () => answersOk(`${etcdClient}/health`),
  };
}

function apiServer(files: ControlPlaneFiles): Command {
  return {
    command: partPath("kube-apiserver"),
    args: [
      `--etcd-servers=${etcdClient}`,
      "--bind-address=0.0.0.0",
      "--secure-port=6443",
      `--advertise-address=${sandboxNetwork.nodeAddress}`,
      `--tls-cert-file=${files.server.certificate}`,
      `--tls-private-key-file=${files.server.key}`,
      `--client-ca-file=${files.authority}`,
      "--authorization-mode=RBAC",
      "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
      `--service-account-key-file=${files.serviceAccountKeys.publicKey}`,
      `--service-account-signing-key-file=${files.serviceAccountKeys.privateKey}`,
      `--service-cluster-ip-range=${sandboxNetwork.serviceRange}`,
    ],
    // A third of its start is garbage collection otherwise; the limit keeps it from growing past what helps.
    env: { GOGC: "400", GOMEMLIMIT: "700MiB" },
    ready: () => answersOk("https://127.0.0.1:6443/readyz", { ca: files.authorityText }),
    // It gives requests in flight up to a minute otherwise.
    stopTimeout: 3_000,
  };
}

function controllerManager(files: ControlPlaneFiles): Command {
  return {
    command: partPath("kube-controller-manager"),
    args: [
      `--kubeconfig=${files.kubeconfigs["controller-manager"]}`,
      "--bind-address=127.0.0.1",
      "--leader-elect=false",
      // Each controller with the rights of its own service account, as in a real cluster.
      "--use-service-account-credentials=true",
      `--service-account-private-key-file=${files.serviceAccountKeys.privateKey}`,
      `--root-ca-file=${files.authority}`,
      // There is one node, it is the sandbox itself, and no cloud: nothing may take it for lost.
      "--controllers=*,-node-lifecycle-controller,-node-ipam-controller,-cloud-node-lifecycle-controller,-service-lb-controller,-node-route-controller",
    ],
    ready: () => answersOk("https://127.0.0.1:10257/healthz", { rejectUnauthorized: false }),
    stopTimeout: 3_000,
  };
}

function scheduler(files: ControlPlaneFiles): Command {
  return {
    command: partPath("kube-scheduler"),
    args: [`--kubeconfig=${files.kubeconfigs.scheduler}`, "--bind-address=127.0.0.1", "--leader-elect=false"],
    ready: () => answersOk("https://127.0.0.1:10259/healthz", { rejectUnauthorized: false }),
    stopTimeout: 3_000,
  };
}

function istiod(files: ControlPlaneFiles): Command {
  return {
    command: partPath("istiod"),
    args: [
      "discovery",
      `--kubeconfig=${files.kubeconfigs.istiod}`,
      `--meshConfig=${files.meshConfig}`,
      "--networksConfig=",
      "--secureGRPCAddr=:15012",
      "--grpcAddr=",
      // The webhooks (sidecar injection, validation) are not served: there is no sidecar in the sandbox.
      "--httpsAddr=",
      "--httpAddr=127.0.0.1:8080",
      "--monitoringAddr=:15014",
      "--ctrlz_port=0",
    ],
    env: {
      POD_NAME: "istiod",
      POD_NAMESPACE: "istio-system",
      SERVICE_ACCOUNT: "istiod",
      CLUSTER_ID: clusterName,
      PILOT_CERT_PROVIDER: "istiod",
      JWT_POLICY: "third-party-jwt",
      // Upstream Envoy lacks Istio's own filters, and refuses a listener that names them.
      PILOT_ENABLE_METADATA_EXCHANGE: "false",
      PILOT_ENABLE_ALPN_FILTER: "false",
    },
    cwd: files.directory,
    ready: () => answersOk("http://127.0.0.1:8080/ready"),
    stopTimeout: 3_000,
  };
}

function prometheusOperator(files: ControlPlaneFiles): Command {
  const { certificate, key } = files.clients["prometheus-operator"];
  return {
    command: partPath("prometheus-operator"),
    args: [
      `--apiserver=${controlPlaneAddresses.kubernetes}`,
      `--ca-file=${files.authority}`,
      `--cert-file=${certificate}`,
      `--key-file=${key}`,
      "--kubelet-service=",
      "--kubelet-endpoints=false",
      "--kubelet-endpointslice=false",
      "--web.enable-tls=false",
      "--web.listen-address=127.0.0.1:8085",
      "--log-level=warn",
    ],
    ready: () => answersOk("http://127.0.0.1:8085/healthz"),
    stopTimeout: 3_000,
  };
}
