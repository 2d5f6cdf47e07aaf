import type { V1ContainerStatus, V1Pod } from "@kubernetes/client-node";
import { AddressPool } from "../../sandbox/kubelet/podNetwork";
import { podPhase, type PodSnapshot, podStatus } from "../../sandbox/kubelet/podStatus";
import { StatusReporter } from "../../sandbox/kubelet/statusReporter";

const base = { image: "node", imageID: "node", ready: false, restartCount: 0 };
const waiting = (name: string): V1ContainerStatus => ({
  ...base,
  name,
  state: { waiting: { reason: "ContainerCreating" } },
});
const running = (name: string, ready = true): V1ContainerStatus => ({
  ...base,
  name,
  ready,
  started: true,
  state: { running: {} },
});
const ended = (name: string, exitCode: number): V1ContainerStatus => ({
  ...base,
  name,
  ready: exitCode === 0,
  state: { terminated: { exitCode } },
});
const crashing = (name: string): V1ContainerStatus => ({
  ...waiting(name),
  lastState: { terminated: { exitCode: 1 } },
});

function snapshot(part: Partial<PodSnapshot>, policy = "Always", pod: V1Pod = {}): PodSnapshot {
  return {
    pod: { ...pod, spec: { containers: [], restartPolicy: policy, ...pod.spec } },
    startTime: new Date(0),
    podAddress: "10.244.1.1",
    nodeAddress: "10.244.0.1",
    initContainers: [],
    containers: [],
    ...part,
  };
}

describe("phase of a Pod", () => {
  test.each<[string, string, Partial<PodSnapshot>]>([
    ["Pending", "Always", { containers: [waiting("a")] }],
    ["Pending", "Always", { containers: [running("a"), waiting("b")] }],
    ["Pending", "Always", { initContainers: [running("i")], containers: [waiting("a")] }],
    ["Pending", "Always", { initContainers: [ended("i", 1)], containers: [waiting("a")] }],
    ["Failed", "Never", { initContainers: [ended("i", 1)], containers: [waiting("a")] }],
    ["Running", "Always", { initContainers: [ended("i", 0)], containers: [running("a", false)] }],
    ["Running", "Always", { containers: [crashing("a")] }],
    ["Running", "Always", { containers: [ended("a", 0)] }],
    ["Running", "Never", { containers: [ended("a", 1), running("b")] }],
    ["Succeeded", "OnFailure", { containers: [ended("a", 0), ended("b", 0)] }],
    ["Running", "OnFailure", { containers: [ended("a", 1)] }],
    ["Failed", "Never", { containers: [ended("a", 0), ended("b", 2)] }],
  ])("%s with restartPolicy %s: %j", (phase, policy, part) => {
    expect(podPhase(snapshot(part, policy))).toBe(phase);
  });
});

describe("conditions of a Pod", () => {
  const conditions = (one: PodSnapshot) =>
    Object.fromEntries(podStatus(one, [], new Date(0)).conditions.map(({ type, status }) => [type, status]));

  test("ready only when every container is", () => {
    expect(conditions(snapshot({ containers: [running("a"), running("b")] }))).toEqual({
      PodScheduled: "True",
      PodReadyToStartContainers: "True",
      Initialized: "True",
      ContainersReady: "True",
      Ready: "True",
    });
    const status = podStatus(snapshot({ containers: [running("a"), running("b", false)] }), [], new Date(0));
    expect(status.conditions.find(({ type }) => type === "Ready")).toMatchObject({
      status: "False",
      reason: "ContainersNotReady",
      message: "containers with unready status: [b]",
    });
  });

  test("a Pod without a network, and one that has ended, is not ready", () => {
    expect(conditions(snapshot({ podAddress: undefined, containers: [waiting("a")] }))).toMatchObject({
      PodReadyToStartContainers: "False",
      Initialized: "False",
      Ready: "False",
    });
    expect(conditions(snapshot({ containers: [ended("a", 0)] }, "Never"))).toMatchObject({ Ready: "False" });
  });

  test("a readiness gate keeps Ready closed until somebody opens it", () => {
    const gated = (status: string): V1Pod => ({
      spec: { containers: [], readinessGates: [{ conditionType: "example/gate" }] },
      status: { conditions: [{ type: "example/gate", status }] },
    });
    const part = { containers: [running("a")] };
    expect(conditions(snapshot(part, "Always", gated("False")))).toMatchObject({
      ContainersReady: "True",
      Ready: "False",
    });
    expect(conditions(snapshot(part, "Always", gated("True")))).toMatchObject({ Ready: "True" });
  });

  test("the transition time moves only with the status", () => {
    const first = podStatus(snapshot({ containers: [running("a", false)] }), [], new Date(1000));
    const second = podStatus(
      snapshot({ containers: [running("a", false)] }),
      first.conditions,
      new Date(2000),
    );
    const third = podStatus(snapshot({ containers: [running("a")] }), second.conditions, new Date(3000));
    const times = [first, second, third].map(({ conditions: all }) =>
      all.find(({ type }) => type === "Ready")?.lastTransitionTime?.getTime(),
    );
    expect(times).toEqual([1000, 1000, 3000]);
  });

  test("a problem is named, and taken back by null when it is over", () => {
    const problem = { reason: "FailedMount", message: 'configmap "x" not found' };
    expect(podStatus(snapshot({ problem }), [], new Date(0))).toMatchObject(problem);
    expect(podStatus(snapshot({}), [], new Date(0))).toMatchObject({ reason: null, message: null });
  });
});

test("the status is sent once per change, after failures again, and never two at a time", async () => {
  const sent: string[] = [];
  let phase = "Pending";
  let failures = 1;
  let under = 0;
  const reporter = new StatusReporter(
    () => ({ phase, conditions: [], reason: null, message: null }),
    async (status) => {
      expect(++under).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 5));
      under -= 1;
      if (failures-- > 0) throw new Error("API server away");
      sent.push(status.phase ?? "");
      return true;
    },
    () => undefined,
  );
  reporter.changed();
  reporter.changed();
  await reporter.flush();
  phase = "Running";
  reporter.changed();
  await reporter.flush();
  await reporter.flush();
  expect(sent).toEqual(["Pending", "Running"]);
});

describe("addresses of Pods", () => {
  test("from x.x.1.1 upward, never two alike, a returned one last", () => {
    const pool = new AddressPool("10.244.0.0/16");
    expect([pool.take(), pool.take(), pool.take()]).toEqual(["10.244.1.1", "10.244.1.2", "10.244.1.3"]);
    pool.release("10.244.1.1");
    expect(pool.take()).toBe("10.244.1.4");
  });

  test("a full network says so, and gives a returned address out again", () => {
    const pool = new AddressPool("10.0.0.0/23");
    const all = new Set(Array.from({ length: 254 }, () => pool.take()));
    expect(all.size).toBe(254);
    expect(all.has("10.0.1.0") || all.has("10.0.1.255")).toBe(false);
    expect(() => pool.take()).toThrow("no free address");
    pool.release("10.0.1.9");
    expect(pool.take()).toBe("10.0.1.9");
  });

  test("a network too small is refused", () => {
    expect(() => new AddressPool("10.0.0.0/24")).toThrow("podNetwork.cidr");
  });
});
