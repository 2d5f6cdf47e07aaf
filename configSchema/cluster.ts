import { z } from "zod";
import { dnsLabel, flag, section } from "./fields";

/** The cluster; both left out means the ambient kubeconfig and its current context. */
export const cluster = section({
  /** Path to a kubeconfig file. Default: `KUBECONFIG`, else `~/.kube/config`. */
  kubeconfig: z.string({ error: "a path to a kubeconfig file" }).optional(),
  /** A context of it. Default: its current context. */
  context: z.string({ error: "the name of a kubeconfig context" }).optional(),
}).prefault({});

/** Where vpsight's own objects live. */
export const namespace = section({
  /** Default: vpsight. */
  name: dnsLabel.default("vpsight"),
  /** Make the namespace, or use one that stands already. Default: true. */
  create: flag.default(true),
}).prefault({});
