import type { V1EndpointSlice, V1Service } from "@kubernetes/client-node";
import { renderHaproxyConfig } from "../../sandbox/loadBalancer/haproxyConfig";
import { proxyProtocolWish, readyTargets, servicePorts } from "../../sandbox/loadBalancer/targets";

const annotation = "service.beta.kubernetes.io/aws-load-balancer-proxy-protocol";

const service = (annotations: Record<string, string> = {}): V1Service => ({
  metadata: { name: "gateway", annotations },
  spec: {
    type: "LoadBalancer",
    ports: [
      { name: "https", port: 443, targetPort: 8443, protocol: "TCP" },
      { name: "http", port: 80, targetPort: 8080, protocol: "TCP" },
      { name: "quic", port: 444, targetPort: 8443, protocol: "UDP" },
    ],
  },
});

const slice = (part: Partial<V1EndpointSlice>): V1EndpointSlice => ({
  addressType: "IPv4",
  endpoints: [],
  ports: [
    { name: "https", port: 8443, protocol: "TCP" },
    { name: "http", port: 8080, protocol: "TCP" },
    { name: "quic", port: 8443, protocol: "UDP" },
  ],
  ...part,
});

describe("the PROXY protocol annotation", () => {
  test.each([
    [undefined, false],
    ["*", true],
  ])("%s asks for %s", (value, expected) => {
    expect(proxyProtocolWish(service(value === undefined ? {} : { [annotation]: value }))).toEqual({
      proxyProtocol: expected,
      remarks: [],
    });
  });

  test.each(["", "true", "443", "**"])("%j is invalid: nothing changes, and a line says so", (value) => {
    const wish = proxyProtocolWish(service({ [annotation]: value }));
    expect(wish.proxyProtocol).toBeUndefined();
    expect(wish.remarks).toEqual([
      `annotation ${annotation}: only "*" is valid; got "${value}"; nothing changes`,
    ]);
  });

  test("annotations that the stand-in does not understand are named", () => {
    const other = "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes";
    const wish = proxyProtocolWish(service({ [other]: "proxy_protocol_v2.enabled=true" }));
    expect(wish.proxyProtocol).toBe(false);
    expect(wish.remarks).toHaveLength(1);
    expect(wish.remarks[0]).toContain(other);
  });
});

describe("targets", () => {
  test("ready endpoints of every slice, once each, per TCP port", () => {
    const first = slice({
      endpoints: [
        { addresses: ["10.244.1.2"], conditions: { ready: true } },
        { addresses: ["10.244.1.3"], conditions: { ready: false, serving: true, terminating: true } },
        { addresses: ["10.244.1.1"] },
      ],
    });
    const second = slice({ endpoints: [{ addresses: ["10.244.1.2"], conditions: { ready: true } }] });
    expect(readyTargets(service(), [first, second])).toEqual([
      { port: 80, address: "10.244.1.1", targetPort: 8080 },
      { port: 80, address: "10.244.1.2", targetPort: 8080 },
      { port: 443, address: "10.244.1.1", targetPort: 8443 },
      { port: 443, address: "10.244.1.2", targetPort: 8443 },
    ]);
    expect(servicePorts(service())).toEqual([80, 443]);
  });

  test("Pods that name another port for the same Service port are all reached", () => {
    const endpoints = (address: string) => [{ addresses: [address], conditions: { ready: true } }];
    const old = slice({ endpoints: endpoints("10.244.1.1"), ports: [{ name: "https", port: 8443 }] });
    const renewed = slice({ endpoints: endpoints("10.244.1.2"), ports: [{ name: "https", port: 9443 }] });
    expect(readyTargets(service(), [old, renewed])).toEqual([
      { port: 443, address: "10.244.1.1", targetPort: 8443 },
      { port: 443, address: "10.244.1.2", targetPort: 9443 },
    ]);
  });

  test("a Service without endpoints has none", () => {
    expect(readyTargets(service(), [])).toEqual([]);
  });
});

describe("haproxy.cfg", () => {
  const config = (proxyProtocol: boolean) =>
    renderHaproxyConfig({
      addresses: ["198.18.0.10", "2001:db8:ffff::10"],
      ports: [80, 443],
      targets: [
        { port: 443, address: "10.244.1.1", targetPort: 8443 },
        { port: 443, address: "fd00::1", targetPort: 8443 },
      ],
      proxyProtocol,
      socket: "/run/lb/haproxy-1.sock",
    });
  const section = (text: string, name: string) =>
    text.split(/\n(?=frontend|backend)/).find((part) => part.startsWith(name)) ?? "";

  test("each Service port listens on each address and goes to its own targets", () => {
    expect(section(config(false), "frontend port-443").trim().split("\n")).toEqual([
      "frontend port-443",
      "  bind 198.18.0.10:443",
      "  bind [2001:db8:ffff::10]:443",
      "  default_backend port-443",
    ]);
    const servers = section(config(false), "backend port-443").match(/^ {2}server .*$/gm);
    expect(servers).toEqual([
      "  server 10-244-1-1-8443 10.244.1.1:8443",
      "  server fd00--1-8443 [fd00::1]:8443",
    ]);
    expect(section(config(false), "backend port-80")).not.toContain("  server ");
  });

  test("every server gets a PROXY v2 header, in its checks too, exactly when asked for", () => {
    const servers = config(true).match(/^ {2}server .*$/gm) ?? [];
    expect(servers).toHaveLength(2);
    for (const server of servers) expect(server).toMatch(/ send-proxy-v2 check-send-proxy$/);
    expect(config(false)).not.toContain("send-proxy");
  });

  test("a header sent by a client is payload: no bind takes one", () => {
    expect(config(true)).not.toContain("accept-proxy");
  });

  test("idle connections live as long as an NLB's, and a refused connection is not tried elsewhere", () => {
    const text = config(true);
    expect(text).toMatch(/timeout client 350s\n {2}timeout server 350s/);
    expect(text).toContain("retries 0");
    expect(text).not.toContain("redispatch");
  });
});
