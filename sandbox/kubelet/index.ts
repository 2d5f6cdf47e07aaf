/**
 * A stand-in for the kubelet, for the sandbox only: it registers one Node and runs the Pods bound to it, each
 * container under bubblewrap with files of this machine in place of an image.
 *
 * Held as the real one holds it: init containers, environment, volumes (ConfigMaps and Secrets replaced
 * atomically), probes, restarts with back-off, grace periods, and the status that controllers act on.
 *
 * It does not prove: image contents, pulls and registries; CPU and memory limits (nothing is limited); seccomp,
 * AppArmor, fsGroup and file ownership between users (all of a Pod's files belong to one user); NetworkPolicy;
 * Services by cluster address or name (there is no kube-proxy and no cluster DNS); `kubectl exec`, `logs`, `attach`
 * and `port-forward` (no kubelet API is served; logs are files, see `Kubelet.logPath`). A change of a ConfigMap
 * arrives at once, while a real kubelet may take a minute. A Pod that is being deleted stays Ready while its readiness
 * probe passes, as on a real node; its endpoint is taken out at once by the real EndpointSlice controller.
 */
export { startKubelet } from "./kubelet";
export type { Image, ImageFile, ImageTable, Kubelet, KubeletOptions, Programs } from "./types";
