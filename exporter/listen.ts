import { createServer } from "node:net";
import { errorCode } from "./error";
import type { Log } from "./log";
import type { ListenAddress } from "./options";

/** A port that could not be had; the message says which, and why. */
export class ListenError extends Error {
  override readonly name = "ListenError";

  constructor(purpose: string, address: ListenAddress, reason: string) {
    super(`Cannot listen on ${formatAddressPort(address)} for ${purpose}: ${reason}`);
  }
}

/** `[::]:4317`, `0.0.0.0:4317`. */
export function formatAddressPort({ host, port }: ListenAddress): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * `::` stands for "everywhere", which on a host without IPv6 is 0.0.0.0. Found by trying, since kernels
 * without IPv6, with it disabled and with it disabled per interface fail in different ways.
 * @param tryListening gives the system's error code, or undefined when listening works.
 */
export async function resolveEverywhere(
  address: ListenAddress,
  log: Log,
  tryListening: (host: string) => Promise<string | undefined> = listenBriefly,
): Promise<ListenAddress> {
  if (address.host !== "::") return address;
  const failure = await tryListening(address.host);
  if (failure !== "EAFNOSUPPORT" && failure !== "EADDRNOTAVAIL") return address;
  const fallback = { host: "0.0.0.0", port: address.port };
  log.info("no IPv6 on this host", { asked: formatAddressPort(address), used: formatAddressPort(fallback) });
  return fallback;
}

function listenBriefly(host: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(errorCode(error)));
    server.listen({ host, port: 0 }, () => server.close(() => resolve(undefined)));
  });
}
