import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import type { V1Container, V1HTTPGetAction, V1Probe } from "@kubernetes/client-node";
import type { ExecResult } from "./containerProcess";
import { checkHealth } from "./grpcHealth";

/** What a probe may reach. */
export interface ProbeTarget {
  container: V1Container;
  podAddress: string;
  exec: (command: string[], timeoutMilliseconds: number) => Promise<ExecResult>;
}

export interface ProbeResult {
  healthy: boolean;
  /** For the log, e.g. "HTTP 503". */
  message: string;
}

/** The part of a probe, or of a preStop/postStart hook, that says what to do. */
export type ProbeAction = Pick<V1Probe, "exec" | "httpGet" | "tcpSocket" | "grpc">;

/** Carries out one probe; it never throws. */
export async function runProbe(
  action: ProbeAction,
  target: ProbeTarget,
  timeout: number,
): Promise<ProbeResult> {
  try {
    if (action.exec) {
      const { exitCode, output } = await target.exec(action.exec.command ?? [], timeout);
      return { healthy: exitCode === 0, message: `exit code ${exitCode} ${output.trim()}`.trim() };
    }
    if (action.httpGet) return await httpGet(action.httpGet, target, timeout);
    if (action.tcpSocket) {
      const host = action.tcpSocket.host ?? target.podAddress;
      return await tcpConnect(host, portNumber(action.tcpSocket.port, target.container), timeout);
    }
    if (action.grpc)
      return await checkHealth(target.podAddress, action.grpc.port, action.grpc.service ?? "", timeout);
    return { healthy: false, message: "the probe names no action known to the sandbox's kubelet" };
  } catch (error) {
    return { healthy: false, message: error instanceof Error ? error.message : String(error) };
  }
}

/** A port by number or by the name the container gives it. */
export function portNumber(port: number | string, container: V1Container): number {
  const named = container.ports?.find(({ name }) => name !== undefined && name === port)?.containerPort;
  const number = named ?? Number(port);
  if (!Number.isInteger(number)) throw new Error(`container ${container.name} has no port named "${port}"`);
  return number;
}

function httpGet(action: V1HTTPGetAction, target: ProbeTarget, timeout: number): Promise<ProbeResult> {
  const secure = action.scheme?.toUpperCase() === "HTTPS";
  const headers: Record<string, string> = {
    "user-agent": "kube-probe/1.36",
    accept: "*/*",
    connection: "close",
  };
  for (const { name, value } of action.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  const options = {
    host: action.host ?? target.podAddress,
    port: portNumber(action.port, target.container),
    path: action.path ?? "/",
    headers,
    agent: false as const,
    timeout,
    // A kubelet does not check certificates: it knows no name for the Pod.
    rejectUnauthorized: false,
    signal: AbortSignal.timeout(timeout),
  };
  return new Promise((resolve) => {
    const request = (secure ? httpsRequest : httpRequest)(options, (response) => {
      response.resume();
      const code = response.statusCode ?? 0;
      resolve({ healthy: code >= 200 && code < 400, message: `HTTP ${code}` });
    });
    request.once("error", (error) => resolve({ healthy: false, message: error.message }));
    request.end();
  });
}

function tcpConnect(host: string, port: number, timeout: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const finish = (healthy: boolean, message: string): void => {
      socket.destroy();
      resolve({ healthy, message });
    };
    socket.setTimeout(timeout, () => finish(false, `no connection within ${timeout} ms`));
    socket.once("connect", () => finish(true, "connected"));
    socket.once("error", (error) => finish(false, error.message));
  });
}
