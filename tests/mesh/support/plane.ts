import { createServer } from "node:http";
import { sandboxNetwork } from "../../../sandbox/namespace/network";

const port = 18080;

/**
 * Stands in for the management plane: one inventory for whoever has the token, over plain HTTP. TLS, ETags and
 * failures are tested with the exporter alone, in tests/exporter/httpSource.test.ts.
 */
export async function startPlane(
  token: string,
  inventory: unknown,
): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((request, response) => {
    if (request.headers.authorization === `Bearer ${token}`) response.end(JSON.stringify(inventory));
    else response.writeHead(401).end();
  });
  await new Promise<void>((resolve) => server.listen(port, sandboxNetwork.nodeAddress, resolve));
  return {
    url: `http://${sandboxNetwork.nodeAddress}:${port}/fleet`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
