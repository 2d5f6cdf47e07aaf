import { providerPlugin } from "./plugin";

export { providerPlugin, type ProviderPlugin } from "./plugin";

/**
 * Finds (or brings) the Kubernetes plug-in while there still is a network, which there is not inside the sandbox's
 * namespaces, and says which one it is.
 */
export async function announceProvider(): Promise<void> {
  const { kind, version } = await providerPlugin();
  const found =
    kind === "official" ? "Pulumi's own" : "the stand-in, since Pulumi's own is not to be had here";
  console.log(`Kubernetes provider ${version}: ${found}`);
}
