import { images } from "../versions";
import { access } from "./access";
import { cpu, flag, image, integer, memory, section } from "./fields";

/** The service that turns access records into metrics. */
export const exporter = section({
  /** Default: 2. */
  replicas: integer(1, 50).default(2),
  /** An own image with the service in it (see exporter/Dockerfile). Default: none, the bundle travels in a ConfigMap. */
  image: image.optional(),
  /** The stock Node image that runs the bundle. Default: versions.ts. */
  nodeImage: image.default(images.node),
  /** Who may reach the OTLP port, beside the NetworkPolicy. Default: mode network, nothing more. */
  access: access.prefault({ mode: "network" }),
  /** How long a pod that was told to end stays scrapable; more than one scrape interval. Default: 35. */
  drainSeconds: integer(1, 600).default(35),
  /** Whether `/status` names the most frequent unknown addresses, which may be personal data. Default: true. */
  statusAddresses: flag.default(true),
  /** Default: requests 100m and 128Mi, limit 512Mi; no CPU limit, since throttling delays scrapes. */
  resources: section({
    cpuRequest: cpu.default("100m"),
    memoryRequest: memory.default("128Mi"),
    memoryLimit: memory.default("512Mi"),
  }).prefault({}),
}).prefault({});
