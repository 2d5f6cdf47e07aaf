import { createOtlpServer } from "../counting/otlpServer";

/**
 * Takes OTLP and does nothing with it: stands for the exporter, so that only the gateway is measured. Prints its port,
 * ends with its standard input.
 */
const server = createOtlpServer(() => undefined);
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") process.stdout.write(`${address.port}\n`);
});
process.stdin.on("end", () => process.exit()).resume();
