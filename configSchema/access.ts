import { z } from "zod";
import { dnsLabel, flag, secretName, section } from "./fields";

const principalPart = z
  .string({ error: "a name without slashes" })
  .regex(/^[^/*\s]+$/, { error: "a name without slashes, stars and spaces" });
const certificateName = z
  .string({ error: "a DNS name or URI" })
  .regex(/^[\x21-\x2b\x2d-\x7e]+$/, { error: "a DNS name or a URI such as spiffe://…, without commas" });
/** Who may reach the exporter's OTLP port; what each mode does is told in docs/access.md. */
export const access = z.discriminatedUnion(
  "mode",
  [
    section({ mode: z.literal("network") }),
    section({
      mode: z.literal("mesh"),
      /** The gateway pods' service account. Required: a wrong one would refuse every record. */
      gatewayServiceAccount: dnsLabel,
      /** Default: cluster.local. */
      trustDomain: principalPart.default("cluster.local"),
      /** Where istiod runs. Default: istio-system. */
      controlPlaneNamespace: dnsLabel.default("istio-system"),
      /** Revision of Istio that injects the sidecar. Default: none, the default revision. */
      revision: dnsLabel.optional(),
      /** Istio's CNI plug-in is installed, so the namespace needs no privileged pods. Default: false. */
      istioCni: flag.default(false),
    }),
    section({
      mode: z.literal("tls"),
      /** Secret in vpsight's namespace with tls.crt, tls.key and ca.crt. Required. */
      secret: secretName,
      /** Secret in the gateway's namespace with tls.crt, tls.key and ca.crt. Required. */
      gatewaySecret: secretName,
      /** Names of which the gateway's certificate must carry one. Default: none, any of the authority will do. */
      clientNames: z.array(certificateName, { error: "a list of names" }).default([]),
    }),
  ],
  { error: (issue) => (issue.code === "invalid_union" ? "one of network, mesh, tls" : "a map") },
);
