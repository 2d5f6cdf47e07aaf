import { readFile } from "node:fs/promises";
import type { V1Deployment, V1Secret } from "@kubernetes/client-node";
import type { CertificateFiles } from "../controlPlane/certificates";
import { xboardImage } from "./images";

/** The panel's names, inside the cluster and out. */
export const panel = {
  namespace: "airport-prod",
  name: "airport-xboard",
  /** Host name that the fleet asks for, and that the gateway's certificate is for. */
  host: "panel.sandbox.test",
  /** Secret with the one token of all nodes, key `token`. */
  tokenSecret: "airport-xboard-token",
  /** Secret with the gateway's certificate. */
  tlsSecret: "panel-tls",
  port: 8080,
  /** Port of the stand-in's control API. */
  controlPort: 8081,
} as const;

/** What the panel knows. */
export interface PanelOptions {
  /** The token of all nodes; goes into a Secret only. */
  readonly token: string;
  /** Node ids that exist. */
  readonly nodeIds: readonly string[];
  /** Length of the user list. Default 200. */
  readonly users?: number;
}

/** The Secret with the panel's token. */
export function panelTokenSecret(options: PanelOptions): V1Secret {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { namespace: panel.namespace, name: panel.tokenSecret },
    stringData: { token: options.token },
  };
}

/** The Secret that the gateway ends TLS with. */
export async function panelTlsSecret(files: CertificateFiles): Promise<V1Secret> {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { namespace: "istio-system", name: panel.tlsSecret },
    type: "kubernetes.io/tls",
    stringData: {
      "tls.crt": await readFile(files.certificate, "utf8"),
      "tls.key": await readFile(files.key, "utf8"),
    },
  };
}

/** The panel: the Xboard stand-in, without a sidecar (its mesh membership is not what the sandbox shows). */
export function panelDeployment(options: PanelOptions): V1Deployment {
  const { namespace, name } = panel;
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace, name, labels },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: name,
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: 5,
          securityContext: { runAsNonRoot: true, runAsUser: 1000 },
          containers: [
            {
              name: "xboard",
              image: xboardImage,
              imagePullPolicy: "IfNotPresent",
              env: [
                {
                  name: "PANEL_TOKEN",
                  valueFrom: { secretKeyRef: { name: panel.tokenSecret, key: "token" } },
                },
                { name: "PANEL_NODES", value: options.nodeIds.join(",") },
                { name: "PANEL_USERS", value: String(options.users ?? 200) },
                { name: "PORT", value: String(panel.port) },
                { name: "CONTROL_PORT", value: String(panel.controlPort) },
              ],
              ports: [
                { name: "http", containerPort: panel.port },
                { name: "control", containerPort: panel.controlPort },
              ],
              readinessProbe: { httpGet: { path: "/healthz", port: panel.controlPort }, periodSeconds: 1 },
            },
          ],
        },
      },
    },
  };
}
