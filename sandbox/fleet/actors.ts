import type { Ledger, Sender } from "../ledger/ledger";
import { Http2Transport } from "./http2Transport";
import { proxyHeader } from "./proxyHeader";
import type { OutgoingRequest, Target } from "./transport";
import { measured } from "./transport";

/** Options of `browsePanel`. */
export interface BrowseOptions {
  readonly target: Target;
  /** The user's address; a VPS's own when the user browses through it. */
  readonly localAddress: string;
  readonly ledger: Ledger;
  /** The user's subscription token: another secret than the panel's. */
  readonly userToken: string;
}

/** A customer of the panel: opens the page, logs in, fetches the subscription. All of it is out of the log's scope. */
export async function browsePanel({ target, localAddress, ledger, userToken }: BrowseOptions): Promise<void> {
  const transport = new Http2Transport(target, localAddress);
  const visits: readonly Pick<OutgoingRequest, "method" | "path" | "query" | "body">[] = [
    { method: "GET", path: "/", query: "", body: "" },
    { method: "POST", path: "/api/v1/passport/auth/login", query: "", body: '{"email":"user@example.invalid"}' },
    { method: "GET", path: "/api/v1/client/subscribe", query: `?token=${userToken}`, body: "" },
  ];
  for (const visit of visits) {
    const { method, path } = visit;
    const exchange = await transport.exchange({ ...visit, headers: { "user-agent": "Mozilla/5.0" } }, 10_000);
    if (exchange.sent) ledger.recordOutOfScope({ from: localAddress, method, path, code: exchange.code });
  }
  await transport.close();
}

/** Options of `forgeProxyHeader`. */
export interface ForgeOptions {
  /** The load balancer; or a gateway pod itself, to show what stage accept lets through. */
  readonly target: Target;
  /** Who really calls; counts when a request gets through. */
  readonly sender: Sender;
  readonly localAddress: string;
  /** The address that the header claims, of the same kind as `localAddress`. */
  readonly claimedAddress: string;
  readonly nodeId: string;
  readonly token: string;
  readonly ledger: Ledger;
  /** Default 3,000. */
  readonly timeoutMilliseconds?: number;
}

/**
 * Calls with a PROXY v2 header of its own making in front of TLS. Behind a load balancer that sends a header
 * itself, the gateway takes that one and finds the second where TLS should begin. The ledger notes what came
 * of it, and counts the request, under its true sender, if one got through.
 */
export async function forgeProxyHeader(options: ForgeOptions): Promise<"refused" | "accepted"> {
  const { target, sender, localAddress, claimedAddress, nodeId, token, ledger } = options;
  const timeoutMilliseconds = options.timeoutMilliseconds ?? 3_000;
  const preamble = proxyHeader(claimedAddress, target);
  const query = new URLSearchParams({ node_id: nodeId, node_type: "vless", token }).toString();
  const transport = new Http2Transport(target, localAddress, preamble);
  const exchange = await transport.exchange(
    { method: "GET", path: "/api/v1/server/UniProxy/config", query: `?${query}`, headers: {}, body: "" },
    timeoutMilliseconds,
  );
  await transport.close();
  const note = { from: localAddress, claimed: claimedAddress };
  if (!exchange.sent) {
    ledger.recordForgedConnection({ ...note, outcome: "refused", detail: exchange.reason });
    return "refused";
  }
  ledger.record({ ...sender, endpoint: "config", method: "GET", nodeId, attempt: 1, ...measured(exchange) });
  ledger.recordForgedConnection({ ...note, outcome: "accepted", detail: String(exchange.code) });
  return "accepted";
}
