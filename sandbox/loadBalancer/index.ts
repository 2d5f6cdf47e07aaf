/**
 * A stand-in for the AWS Load Balancer Controller and its NLB, for the sandbox only: it follows one Service and its
 * EndpointSlices and has a real HAProxy forward TCP connections to the ready Pods (`ip` targets), with a PROXY v2
 * header exactly when the Service's annotation says so.
 *
 * It does not prove: AWS itself (provisioning, DNS names, target-group limits, cross-zone rules, deregistration delay,
 * the minutes a real change takes), `instance` targets, TLS listeners, security groups, client addresses kept without
 * PROXY protocol. HAProxy sends its own PROXY header first and passes on what the client sent, as an NLB does.
 */
export { startLoadBalancer } from "./loadBalancer";
export type { LoadBalancer, LoadBalancerOptions, LoadBalancerState, Target } from "./types";
