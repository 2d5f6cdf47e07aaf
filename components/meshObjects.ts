import type { Vps } from "../exporter/identify/inventory";
import { apiVersions } from "../versions";
import { managedLabels } from "./gateway";

/** What of a VPS goes into its objects. */
export type MeshVps = Pick<Vps, "name" | "region" | "ranges">;

/** Only objects with all of these labels are ever changed or removed. */
export const meshObjectLabels = { ...managedLabels, "app.kubernetes.io/component": "mesh-topology" };

/** A WorkloadGroup or a WorkloadEntry as it is applied. */
export interface MeshObject {
  apiVersion: string;
  kind: "WorkloadGroup" | "WorkloadEntry";
  metadata: { name: string; namespace: string; labels: Record<string, string> };
  spec: Record<string, unknown>;
}

/**
 * The two objects by which Kiali knows a VPS as a workload: a WorkloadGroup of the node's name, and a WorkloadEntry that
 * its labels select. In a namespace without Services and ServiceEntries nothing sends traffic to them.
 */
export function meshObjects(
  { namespace, regionPrefix }: { namespace: string; regionPrefix: string },
  fleet: readonly MeshVps[],
): MeshObject[] {
  return fleet.flatMap(({ name, region, ranges }) => {
    const labels = { app: regionPrefix + region, version: name };
    const metadata = { name, namespace, labels: { ...meshObjectLabels, ...labels } };
    const { workload: apiVersion } = apiVersions;
    // An entry has one address and no block: of a block, its first.
    const address = ranges[0]?.text.replace(/\/\d+$/, "") ?? "";
    return [
      {
        apiVersion,
        kind: "WorkloadGroup",
        metadata,
        spec: { metadata: { labels }, template: { serviceAccount: "default" } },
      },
      {
        apiVersion,
        kind: "WorkloadEntry",
        metadata,
        spec: { address, labels, serviceAccount: "default" },
      },
    ];
  });
}
