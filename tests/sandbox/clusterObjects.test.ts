/** The seeded objects as they are sent. That the real API server takes them and they run is shown by tests/mesh. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { V1Pod } from "@kubernetes/client-node";
import { describeObject, parseObjects } from "../../sandbox/cluster/apply";
import { gatewayDeployment, ingressGateway } from "../../sandbox/cluster/gateway";
import { envoyVersions, gatewayImage } from "../../sandbox/cluster/images";
import { panel, panelDeployment, panelTokenSecret } from "../../sandbox/cluster/panel";
import { legacyObjects } from "../../sandbox/cluster/seed";
import { podProblems } from "../../sandbox/cluster/workload";

const objectsOf = async (file: string) =>
  parseObjects(await readFile(join(__dirname, "../../sandbox/cluster", file), "utf8"));

describe("the gateway", () => {
  it("is what its Service selects, on the Service's target ports", async () => {
    const template = gatewayDeployment().spec?.template;
    const service = (await objectsOf("gateway.yaml")).find(({ kind }) => kind === "Service");
    expect(service?.metadata?.labels).toMatchObject({ "app.kubernetes.io/managed-by": "Helm" });
    expect(service?.["spec"]).toMatchObject({ type: "LoadBalancer", selector: ingressGateway.labels });
    expect(template?.metadata?.labels).toMatchObject(ingressGateway.labels);
    const ports = template?.spec?.containers[0]?.ports?.map(({ containerPort }) => containerPort);
    expect(ports).toEqual(expect.arrayContaining([15021, 8080, 8443]));
  });

  it("shows the counters of PROXY protocol and access logs", () => {
    const environment = gatewayDeployment().spec?.template.spec?.containers[0]?.env;
    const config: unknown = JSON.parse(environment?.find(({ name }) => name === "PROXY_CONFIG")?.value ?? "");
    expect(config).toMatchObject({
      discoveryAddress: "10.244.0.1:15012",
      proxyStatsMatcher: {
        inclusionPrefixes: ["proxy_proto", "access_logs", "cluster.outbound|8080||airport-xboard."],
      },
    });
  });

  it("runs the Envoy that is asked for, 1.40 by default", () => {
    const image = (deployment: ReturnType<typeof gatewayDeployment>) =>
      deployment.spec?.template.spec?.containers[0]?.image;
    expect(image(gatewayDeployment())).toBe("docker.io/istio/proxyv2:envoy-1.40");
    expect(image(gatewayDeployment({ envoy: "1.36" }))).toBe("docker.io/istio/proxyv2:envoy-1.36");
    expect(new Set(envoyVersions.map((version) => gatewayImage(version))).size).toBe(5);
  });
});

describe("the panel", () => {
  it("gets its token from a Secret and shows it nowhere else", () => {
    const options = { token: "a-very-secret-token", nodeIds: ["1", "hk-01"] };
    expect(JSON.stringify(panelDeployment(options))).not.toContain(options.token);
    expect(panelTokenSecret(options).stringData).toEqual({ token: options.token });
    const environment = panelDeployment(options).spec?.template.spec?.containers[0]?.env;
    expect(environment).toContainEqual({ name: "PANEL_NODES", value: "1,hk-01" });
  });

  it("is routed to by the name its certificate is for", async () => {
    const objects = await objectsOf("panel.yaml");
    const spec = (kind: string) => objects.find((object) => object.kind === kind)?.["spec"];
    expect(spec("VirtualService")).toMatchObject({ hosts: [panel.host] });
    expect(spec("Gateway")).toMatchObject({
      servers: [{ hosts: [panel.host], tls: { credentialName: panel.tlsSecret } }],
    });
  });
});

describe("the legacy objects", () => {
  it("are the four of the abandoned attempt, with others of each kind beside them", async () => {
    const names = (await legacyObjects()).map(describeObject);
    const going = [
      "ServiceAccount airport-prod/edge-vm",
      "WorkloadGroup airport-prod/edge-nodes-jp",
      "ServiceEntry airport-prod/edge-nodes",
      "WorkloadEntry airport-prod/edge-jp-004",
    ];
    expect(names).toEqual(expect.arrayContaining(going));
    for (const kind of ["ServiceAccount", "WorkloadGroup", "ServiceEntry", "WorkloadEntry"]) {
      const staying = names.filter((name) => name.startsWith(`${kind} `) && !going.includes(name));
      expect(staying.length).toBeGreaterThan(0);
    }
  });
});

describe("what keeps a Pod from being ready", () => {
  const pod = (status: V1Pod["status"]): V1Pod => ({
    metadata: { name: "p" },
    ...(status ? { status } : {}),
  });
  const waiting = (reason: string, message?: string) => ({
    name: "c",
    image: "",
    imageID: "",
    ready: false,
    restartCount: 2,
    state: { waiting: { reason, ...(message === undefined ? {} : { message }) } },
    lastState: { terminated: { exitCode: 3 } },
  });

  it("is nothing when it is ready", () => {
    expect(podProblems(pod({ conditions: [{ type: "Ready", status: "True" }] }))).toEqual([]);
  });

  it("is the scheduler's reason", () => {
    const conditions = [{ type: "PodScheduled", status: "False", message: "0/1 nodes are available" }];
    expect(podProblems(pod({ conditions }))).toEqual(["p: not scheduled: 0/1 nodes are available"]);
  });

  it("is the container's reason, with restarts and last exit code", () => {
    expect(podProblems(pod({ containerStatuses: [waiting("CrashLoopBackOff", "back-off 10s")] }))).toEqual([
      "p/c: CrashLoopBackOff (back-off 10s), 2 restarts, last exit code 3",
    ]);
  });

  it("is the phase when the containers say nothing", () => {
    expect(podProblems(pod({ phase: "Pending" }))).toEqual(["p: Pending"]);
  });
});
