import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { stringify } from "yaml";
import { sandboxNetwork } from "../namespace/network";
import { CertificateAuthority, makeServiceAccountKeys, type CertificateFiles } from "./certificates";
import { clusterName, controlPlaneAddresses } from "./commands";

// Those whose rights Kubernetes itself defines come with their own user; istiod and the operator bring long
// role lists in their installers, which the sandbox does not repeat: they are administrators here.
const clientSubjects = {
  admin: { commonName: "sandbox-admin", organization: "system:masters" },
  "controller-manager": { commonName: "system:kube-controller-manager" },
  scheduler: { commonName: "system:kube-scheduler" },
  istiod: { commonName: "istiod", organization: "system:masters" },
  "prometheus-operator": { commonName: "prometheus-operator", organization: "system:masters" },
} as const;

/** A client of the API server, each with a certificate of its own. */
export type ControlPlaneClient = keyof typeof clientSubjects;

/** Keys, certificates and configuration files that the control plane starts from. */
export interface ControlPlaneFiles {
  /** Their directory, also for data. */
  readonly directory: string;
  /** The cluster's certificate authority: PEM file, and its text. */
  readonly authority: string;
  readonly authorityText: string;
  readonly server: CertificateFiles;
  readonly clients: Readonly<Record<ControlPlaneClient, CertificateFiles>>;
  readonly kubeconfigs: Readonly<Record<ControlPlaneClient, string>>;
  readonly serviceAccountKeys: { readonly publicKey: string; readonly privateKey: string };
  readonly meshConfig: string;
}

/** Makes all of them, fresh, in `directory` (mode 0700 expected). */
export async function writeControlPlaneFiles(directory: string): Promise<ControlPlaneFiles> {
  const authority = await CertificateAuthority.create(
    join(directory, "certificates"),
    "vpsight sandbox cluster",
  );
  const issue = (name: ControlPlaneClient) => authority.issue(name, clientSubjects[name]);
  const meshConfig = join(directory, "mesh.yaml");
  const [server, admin, controllerManager, scheduler, istiod, operator, serviceAccountKeys, authorityText] =
    await Promise.all([
      authority.issue("kube-apiserver", {
        commonName: "kube-apiserver",
        alternativeNames: [
          ...["127.0.0.1", sandboxNetwork.nodeAddress, "10.96.0.1"],
          ...["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"],
          "kubernetes.default.svc.cluster.local",
        ],
      }),
      issue("admin"),
      issue("controller-manager"),
      issue("scheduler"),
      issue("istiod"),
      issue("prometheus-operator"),
      makeServiceAccountKeys(join(directory, "certificates")),
      authority.certificateText(),
      writeFile(meshConfig, stringify(meshConfiguration)),
    ]);
  const clients = {
    admin,
    "controller-manager": controllerManager,
    scheduler,
    istiod,
    "prometheus-operator": operator,
  };
  const kubeconfigs = await writeKubeconfigs(directory, authorityText, clients);
  return {
    directory,
    authority: authority.certificate,
    authorityText,
    server,
    clients,
    kubeconfigs,
    serviceAccountKeys,
    meshConfig,
  };
}

// `defaultProviders: {}` leaves out the Prometheus provider, whose filter (istio.stats) upstream Envoy lacks.
const meshConfiguration = {
  rootNamespace: "istio-system",
  trustDomain: "cluster.local",
  defaultProviders: {},
  defaultConfig: { discoveryAddress: controlPlaneAddresses.istiodSecure },
};

/**
 * A kubeconfig with everything in it, so that the file can be used from anywhere `server` is reached from.
 *
 * @param server URL of the API server; its host must be one of the certificate's names.
 */
export async function makeKubeConfig(
  authorityText: string,
  client: CertificateFiles,
  server: string = controlPlaneAddresses.kubernetes,
): Promise<KubeConfig> {
  const [certificate, key] = await Promise.all([readFile(client.certificate), readFile(client.key)]);
  const kubeConfig = new KubeConfig();
  kubeConfig.loadFromOptions({
    clusters: [
      {
        name: clusterName,
        server,
        caData: Buffer.from(authorityText).toString("base64"),
        skipTLSVerify: false,
      },
    ],
    users: [{ name: "sandbox", certData: certificate.toString("base64"), keyData: key.toString("base64") }],
    contexts: [{ name: "sandbox", cluster: clusterName, user: "sandbox" }],
    currentContext: "sandbox",
  });
  return kubeConfig;
}

/** Writes a kubeconfig file that only its owner reads. */
export async function writeKubeConfig(file: string, kubeConfig: KubeConfig): Promise<void> {
  await writeFile(file, `${kubeConfig.exportConfig()}\n`, { mode: 0o600 });
}

async function writeKubeconfigs(
  directory: string,
  authorityText: string,
  clients: Readonly<Record<ControlPlaneClient, CertificateFiles>>,
): Promise<Record<ControlPlaneClient, string>> {
  const write = async (name: ControlPlaneClient): Promise<string> => {
    const file = join(directory, `${name}.kubeconfig`);
    await writeKubeConfig(file, await makeKubeConfig(authorityText, clients[name]));
    return file;
  };
  const [admin, controllerManager, scheduler, istiod, operator] = await Promise.all([
    write("admin"),
    write("controller-manager"),
    write("scheduler"),
    write("istiod"),
    write("prometheus-operator"),
  ]);
  return {
    admin,
    "controller-manager": controllerManager,
    scheduler,
    istiod,
    "prometheus-operator": operator,
  };
}
