import { isIPv6 } from "node:net";
import { parseAddress } from "../../exporter/identify/address";
import type { Target } from "./transport";

const signature = Buffer.from("0d0a0d0a000d0a515549540a", "hex");
const versionAndProxy = 0x21;
const tcp4 = 0x11;
const tcp6 = 0x21;

/**
 * A PROXY v2 header for one TCP connection. https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, 2.2
 * @param source the address that it claims; decides between IPv4 and IPv6.
 */
export function proxyHeader(source: string, target: Pick<Target, "ipv4" | "ipv6" | "port">, sourcePort = 40_000): Buffer {
  const six = isIPv6(source);
  const destination = six ? (target.ipv6 ?? "::") : target.ipv4;
  const ports = Buffer.alloc(4);
  ports.writeUInt16BE(sourcePort, 0);
  ports.writeUInt16BE(target.port, 2);
  const addresses = Buffer.concat([addressBytes(source), addressBytes(destination), ports]);
  const head = Buffer.from([versionAndProxy, six ? tcp6 : tcp4, 0, addresses.length]);
  return Buffer.concat([signature, head, addresses]);
}

function addressBytes(address: string): Buffer {
  const words = parseAddress(address);
  if (words === undefined) throw new TypeError(`${address} is not an IP address`);
  return Buffer.from(words.flatMap((word) => [word >> 8, word & 0xff]));
}
