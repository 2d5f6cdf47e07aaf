import { z } from "zod";
import { dnsLabel, integer, labels, section } from "./fields";

/** How far the PROXY-protocol cut-over has gone. */
export const stages = ["off", "accept", "send", "enforce"] as const;
export type Stage = (typeof stages)[number];

const loadBalancer = z.enum(["controller"], {
  error: (issue) =>
    issue.input === "in-tree"
      ? 'controller: the in-tree load balancer ignores the PROXY-protocol annotation silently, so stage "send" would never come true'
      : '"controller" (the AWS Load Balancer Controller)',
});

/** The ingress gateway in front of the application. */
export const gateway = section({
  /** Default: istio-system. */
  namespace: dnsLabel.default("istio-system"),
  /** The Service that the NLB belongs to. Default: istio-ingressgateway. */
  service: dnsLabel.default("istio-ingressgateway"),
  /** Labels of the gateway's pods. Default: istio: ingressgateway. */
  selector: labels.default({ istio: "ingressgateway" }),
}).prefault({});

/** Both halves of the PROXY-protocol cut-over. */
export const proxyProtocol = section({
  /** Default: off. Go up and down one stage at a time. */
  stage: z.enum(stages, { error: `one of ${stages.join(", ")}` }).default("off"),
  /** Who owns the NLB. Default: controller. */
  loadBalancer: loadBalancer.default("controller"),
}).prefault({});

/** Which X-Forwarded-For entries are believed. */
export const clientAddress = section({
  /** Proxies in front of the gateway that append to X-Forwarded-For. Behind an NLB: 0, the default. */
  trustedHops: integer(0, 10).default(0),
  /** With 0 hops: drop the X-Forwarded-For that the client sent (`remove`, default), or pass it on (`keep`). */
  clientForwardedFor: z.enum(["remove", "keep"], { error: "remove or keep" }).default("remove"),
}).prefault({});
