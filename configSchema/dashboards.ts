import { z } from "zod";
import { dnsLabel, flag, labels, section } from "./fields";

const degrees = (most: number) => {
  const error = `degrees from ${-most} to ${most}`;
  return z.number({ error }).min(-most, { error }).max(most, { error });
};
const coordinates = section({
  /** Degrees north; south is negative. */
  latitude: degrees(90),
  /** Degrees east; west is negative. */
  longitude: degrees(180),
});
const text = (what: string) => z.string({ error: what }).min(1, { error: what });

/** Objects of the Grafana Operator instead of ConfigMaps for a sidecar. */
const operator = section({
  /** The labels of the Grafana objects that are to show the dashboards. Default: dashboards: grafana. */
  instanceLabels: labels.default({ dashboards: "grafana" }),
});

/** Grafana's dashboards. They read what the recording rules write, so they are deployed with these only. */
export const dashboards = section({
  /** Default: true. */
  enabled: flag.default(true),
  /** The namespace the sidecar (or the Grafana Operator) watches. Default: monitoring. */
  namespace: dnsLabel.default("monitoring"),
  /** The labels the sidecar looks for. Default: grafana_dashboard: "1". */
  labels: labels.default({ grafana_dashboard: "1" }),
  /** Grafana's folder. The sidecar needs `folderAnnotation: grafana_folder` for it; see docs/dashboards.md. Default: vpsight. */
  folder: text("the name of a folder").default("vpsight"),
  /** Default: none, the sidecar's ConfigMaps. */
  operator: operator.optional(),
  /** Where the map draws a region. Default: hk, jp, kr, sg, tw and us. */
  regions: z.record(z.string(), coordinates, { error: "a map of regions to coordinates" }).default({
    hk: { latitude: 22.32, longitude: 114.17 },
    jp: { latitude: 35.68, longitude: 139.69 },
    kr: { latitude: 37.57, longitude: 126.98 },
    sg: { latitude: 1.35, longitude: 103.82 },
    tw: { latitude: 25.03, longitude: 121.56 },
    us: { latitude: 39.83, longitude: -98.58 },
  }),
  /** LogQL that finds a VPS's access records; ${address:pipe} and ${vps:pipe} stand for what is selected. Default: of the gateway's stdout. */
  logQuery: text("a LogQL query").default(
    '{namespace="istio-system"} | json | client_address=~"${address:pipe}"',
  ),
}).prefault({});
