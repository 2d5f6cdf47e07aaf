/**
 * The control plane of the sandbox's cluster. Real: etcd, kube-apiserver, kube-controller-manager,
 * kube-scheduler, istiod with its own certificate authority, prometheus-operator. The node's kubelet is a
 * stand-in (`sandbox/kubelet`). There is neither kube-proxy nor cluster DNS, and no admission webhook.
 */
export { forwardedServer, startControlPlane } from "./controlPlane";
export type { ControlPlane, ControlPlaneOptions, PartProgress } from "./controlPlane";
export { CertificateAuthority, type CertificateFiles, type CertificateSubject } from "./certificates";
export { clusterName, controlPlaneAddresses, controlPlaneParts, type ControlPlanePart } from "./commands";
