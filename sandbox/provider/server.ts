/**
 * A STAND-IN for the official `pulumi-resource-kubernetes` plug-in, used by the sandbox and the tests only where the
 * official one is neither installed nor downloadable (`plugin.ts` decides). It gives the real Pulumi engine what
 * vpsight's program needs: plain objects, custom resources and patches on a real API server.
 *
 * It does NOT prove what the official provider does beyond that: no Helm, YAML or Kustomize, no client-side apply, no
 * OpenAPI validation before the API server's own, no typed CustomResourceDefinitions with `x_kubernetes_…` keys, no
 * awaiting of other kinds than Deployment and Service, no special treatment of `ignoreChanges`, no readiness check on
 * refresh; deletion is in the background; diffs compare inputs, where the official one compares the pruned live
 * object. Nothing here runs when vpsight is deployed for real.
 */
import * as grpc from "@grpc/grpc-js";
import { ResourceProviderService } from "@pulumi/pulumi/proto/provider_grpc_pb";
import { handlers } from "./handlers";

const server = new grpc.Server({
  // The engine's own limit: a ConfigMap may hold a megabyte, and state travels with every call.
  "grpc.max_receive_message_length": 400 * 1024 * 1024,
  "grpc.max_send_message_length": 400 * 1024 * 1024,
});
server.addService(ResourceProviderService, handlers(process.argv[2]));
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) {
    process.stderr.write(`pulumi-resource-kubernetes (stand-in) cannot listen: ${error.message}\n`);
    process.exitCode = 1;
    return;
  }
  // The engine reads the first line of stdout and nothing else.
  process.stdout.write(`${port}\n`);
});
