import { installedParts, partPath, type PartName } from "../parts/find";
import type { Image, ImageTable } from "../kubelet";

const envoyParts = {
  "1.36": "envoy-1.36",
  "1.37": "envoy-1.37",
  "1.38": "envoy-1.38",
  "1.39": "envoy-1.39",
  "1.40": "envoy",
} as const satisfies Record<string, PartName>;

/** A version of Envoy that a gateway of the sandbox can run. */
export type EnvoyVersion = keyof typeof envoyParts;

/** All of them, ascending; the last is the default. */
export const envoyVersions: readonly EnvoyVersion[] = ["1.36", "1.37", "1.38", "1.39", "1.40"];

/** Image of the Xboard stand-in; made here and nowhere else. */
export const xboardImage = "vpsight-sandbox/xboard:latest";

/** Image of the OpenTelemetry Collector; in the table only where that optional part is installed. */
export const collectorImage = "docker.io/otel/opentelemetry-collector-contrib:0.155.0";

/** The gateway's image with a version of Envoy. Default 1.40. */
export function gatewayImage(envoy: EnvoyVersion = "1.40"): string {
  return `docker.io/istio/proxyv2:envoy-${envoy}`;
}

/** Version of the Prometheus in use, as the Prometheus object names it (`v3.11.3`): the operator writes its flags by it. */
export function prometheusVersion(): string {
  const version = installedParts().prometheus?.version ?? "";
  return `v${version === "" ? "3.11.3" : version}`;
}

/**
 * What stands in for each image of the sandbox: programs of this machine, for any tag but the gateway's.
 *
 * @param xboardBundle path of the Xboard stand-in's bundle (`buildXboard`).
 * @throws {SandboxError} when a part is not installed.
 */
export function sandboxImages(xboardBundle: string): ImageTable {
  const node: Image = {
    entrypoint: ["/usr/local/bin/node"],
    files: [{ from: process.execPath, to: "/usr/local/bin/node" }],
  };
  const table: Record<string, Image> = {
    "docker.io/library/node": node,
    [xboardImage]: {
      ...node,
      entrypoint: ["/usr/local/bin/node", "/app/xboard.cjs"],
      files: [...node.files, { from: xboardBundle, to: "/app/xboard.cjs" }],
    },
    "quay.io/prometheus/prometheus": {
      entrypoint: ["/bin/prometheus"],
      files: [{ from: partPath("prometheus"), to: "/bin/prometheus" }],
      user: 65534,
      workingDirectory: "/prometheus",
    },
    "quay.io/prometheus-operator/prometheus-config-reloader": {
      entrypoint: ["/bin/prometheus-config-reloader"],
      files: [{ from: partPath("prometheus-config-reloader"), to: "/bin/prometheus-config-reloader" }],
      user: 65534,
    },
  };
  if (installedParts()["otel-collector"] !== undefined) {
    table[collectorImage] = {
      entrypoint: ["/otelcol-contrib"],
      files: [{ from: partPath("otel-collector"), to: "/otelcol-contrib" }],
      user: 10001,
    };
  }
  for (const version of envoyVersions) table[gatewayImage(version)] = proxyImage(envoyParts[version]);
  return table;
}

function proxyImage(envoy: PartName): Image {
  return {
    entrypoint: ["/usr/local/bin/pilot-agent"],
    files: [
      { from: partPath("pilot-agent"), to: "/usr/local/bin/pilot-agent" },
      { from: partPath(envoy), to: "/usr/local/bin/envoy" },
      { from: partPath("envoy-bootstrap-template"), to: "/var/lib/istio/envoy/envoy_bootstrap_tmpl.json" },
    ],
    user: 1337,
  };
}
