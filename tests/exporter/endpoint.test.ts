import { endpointIndex, endpoints } from "../../exporter/measure/endpoint";
import {
  boundedCode,
  expectedOutcomes,
  methodIndex,
  methods,
  outcomeOf,
  renderOutcome,
} from "../../exporter/measure/outcome";

describe("the endpoint of a path", () => {
  test.each([
    ["/api/v1/server/UniProxy/config", "config"],
    ["/api/v1/server/UniProxy/user", "user"],
    ["/api/v1/server/UniProxy/push", "push"],
    ["/api/v1/server/UniProxy/alive", "alive"],
    ["/api/v1/server/UniProxy/alivelist", "alivelist"],
    ["/api/v1/server/UniProxy/status", "status"],
    ["/api/v2/server/config", "config"],
    ["/api/v2/server/handshake", "handshake"],
    ["/api/v2/server/report", "report"],
    ["/api/v2/server/machine", "machine"],
    ["/api/v2/server/machine/nodes", "machine"],
    ["/api/v1/server/TrojanTidalab/submit", "push"],
    ["/api/v1/server/ShadowsocksTidalab/user", "user"],
    ["/API/V1/Server/uniproxy/CONFIG", "config"],
    ["/api/v1/server/UniProxy/config/", "config"],
    ["/api/v1/server/UniProxy/config?token=secret", "config"],
    ["/api/v1/server/UniProxy/configs", "other"],
    ["/api/v1/server/UniProxy/", "other"],
    ["/api/v1/server/Elsewhere/config", "other"],
    ["/api/v1/client/subscribe", "other"],
    ["/x/api/v1/server/UniProxy/config", "other"],
    ["/api/v1/server/UniProxy/../UniProxy/config", "other"],
    ["/config", "other"],
    ["/", "other"],
    ["", "other"],
    ["constructor", "other"],
  ])("%j is %s", (path, expected) => {
    expect(endpoints[endpointIndex(path)]).toBe(expected);
  });

  test("a path of a megabyte is other, in no time", () => {
    const started = performance.now();
    for (let turn = 0; turn < 1_000; turn += 1) {
      expect(endpoints[endpointIndex(`/api/v2/server/machine/${"x".repeat(1_000_000)}`)]).toBe("other");
    }
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});

describe("method and code", () => {
  test.each([...methods.slice(0, -1)])("%s keeps its name", (method) => {
    expect(methods[methodIndex(method)]).toBe(method);
  });

  test.each(["get", "PROPFIND", "", "other", 'G"ET', "__proto__"])("%j is other", (method) => {
    expect(methods[methodIndex(method)]).toBe("other");
  });

  test.each([
    [100, 100],
    [304, 304],
    [599, 599],
    [0, 0],
    [99, 0],
    [600, 0],
    [200.5, 0],
    [Number.NaN, 0],
    [undefined, 0],
  ])("code %p is %p", (code, expected) => {
    expect(boundedCode(code)).toBe(expected);
  });

  test("every outcome has labels of its own", () => {
    const outcomes = endpoints.flatMap((_e, endpoint) =>
      methods.flatMap((_m, method) => [0, 100, 304, 599].map((code) => outcomeOf(endpoint, method, code))),
    );
    const labels = outcomes.map(renderOutcome);
    expect(new Set(labels).size).toBe(endpoints.length * methods.length * 4);
    expect(renderOutcome(outcomeOf(endpoints.indexOf("push"), methods.indexOf("POST"), 422))).toBe(
      'endpoint="push",method="POST",code="422"',
    );
  });

  test("what is expected of every node: its three calls, with success and the client that gave up", () => {
    expect(expectedOutcomes.map(({ endpoint, method }) => `${method} ${endpoint}`)).toEqual([
      "GET config",
      "GET user",
      "POST push",
    ]);
    for (const { codes } of expectedOutcomes) expect(codes).toEqual(expect.arrayContaining([200, 500, 0]));
  });
});
