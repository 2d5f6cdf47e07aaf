import * as k8s from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { apiVersions } from "../versions";
import { managedLabels } from "./gateway";

/** An object of the Prometheus Operator, before it has its common parts. */
export interface MonitoringObject<Spec extends object> {
  kind: "ServiceMonitor" | "PodMonitor" | "PrometheusRule";
  name: string;
  namespace: string;
  /** Beside those on every object of this program: what Prometheus selects by. */
  labels: Record<string, string>;
  spec: Spec;
}

/** Makes an object of the Prometheus Operator. */
export function monitoringObject<Spec extends object>(
  resourceName: string,
  { kind, name, namespace, labels, spec }: MonitoringObject<Spec>,
  options: pulumi.CustomResourceOptions,
): k8s.apiextensions.CustomResource {
  const metadata = { name, namespace, labels: { ...managedLabels, ...labels } };
  return new k8s.apiextensions.CustomResource(
    resourceName,
    { apiVersion: apiVersions.monitoring, kind, metadata, spec },
    options,
  );
}
