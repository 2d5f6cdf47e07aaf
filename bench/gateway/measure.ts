import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { cpuMicroseconds } from "../cpu";
import { freePorts } from "../ports";
import { Program } from "../program";
import { gatewayBootstrap, upstreamBootstrap } from "./bootstrap";
import { startEnvoy } from "./envoy";
import { LoadGenerator } from "./load";
import { otlpCluster, type Variant } from "./variants";

export interface GatewaySettings {
  /** Core of the measured Envoy, and the one of everything else. */
  cores: { measured: number; others: number };
  /** How often each variant has its turn. */
  rounds: number;
  /** Length of the burst whose CPU time counts, and of the paced one whose latency counts. */
  seconds: { saturated: number; paced: number };
  requestsPerSecond: number;
  /** For logs and configuration. */
  directory: string;
  onRound?: (round: number) => void;
}

/** One variant's turn. */
export interface Turn {
  /** Microseconds of CPU per request in the burst at full speed. */
  cpu: number;
  /** Milliseconds at the even pace. */
  p50: number;
  p99: number;
}

const connections = 16;
const body = JSON.stringify({ server_port: 443, network: "tcp", pad: "x".repeat(400) });
/** Envoy sends OTLP at the latest one second after the record: that work belongs to the turn. */
const settleMilliseconds = 1_300;

/** @returns for each variant's name its turns, in order of rounds. */
export async function measureGateway(
  variants: readonly Variant[],
  settings: GatewaySettings,
): Promise<Map<string, Turn[]>> {
  const { cores, directory, rounds, seconds } = settings;
  const [admin = 0, upstreamAdmin = 0, upstream = 0, ...ports] = await freePorts(3 + variants.length);
  const programs: Program[] = [];
  try {
    let sinkPort = 0;
    programs.push(
      await Program.start({
        ...{ name: "sink", core: cores.others, command: process.execPath, log: join(directory, "sink.log") },
        args: ["--import", "tsx", join(__dirname, "sink.ts")],
        onOutput: (chunk) => (sinkPort = Number(chunk.toString())),
        ready: async () => sinkPort > 0,
      }),
    );
    programs.push(
      await startEnvoy({
        ...{ name: "panel", core: cores.others, admin: upstreamAdmin, directory },
        bootstrap: upstreamBootstrap({ admin: upstreamAdmin, listener: upstream }, body),
      }),
    );
    const listeners = variants.map(({ loggers }, index) => ({ port: ports[index] ?? 0, loggers }));
    const gateway = await startEnvoy({
      ...{ name: "gateway", core: cores.measured, drainCore: cores.others, admin, directory },
      bootstrap: gatewayBootstrap(listeners, { admin, upstream, sink: sinkPort }, otlpCluster),
    });
    programs.push(gateway);

    const turns = new Map(variants.map(({ name }) => [name, [] as Turn[]]));
    // Round 0 warms everything up and does not count. The order turns, so that none always follows the same.
    for (let round = 0; round <= rounds; round += 1) {
      for (let place = 0; place < variants.length; place += 1) {
        const index = (place + round) % variants.length;
        const variant = variants[index];
        if (variant === undefined) continue;
        const load = await LoadGenerator.open(
          ports[index] ?? 0,
          connections,
          request(variant.path),
          Buffer.byteLength(body),
        );
        await load.saturate(0.2);
        await delay(100);
        const before = cpuMicroseconds(gateway.pid);
        const { requests } = await load.saturate(seconds.saturated);
        await delay(settleMilliseconds);
        const cpu = (cpuMicroseconds(gateway.pid) - before) / requests;
        const { p50, p99 } = await load.pace(seconds.paced, settings.requestsPerSecond);
        load.close();
        if (round > 0) turns.get(variant.name)?.push({ cpu, p50, p99 });
      }
      settings.onRound?.(round);
    }
    return turns;
  } finally {
    await Promise.all(programs.map((program) => program.stop()));
  }
}

/** As XrayR asks; the token is nobody's. */
export function request(path: string): Buffer {
  const lines = [
    `GET ${path}?node_id=12&node_type=V2ray&token=0123456789abcdef0123 HTTP/1.1`,
    "Host: panel.example.com",
    "User-Agent: go-resty/2.7.0 (https://github.com/go-resty/resty)",
    'If-None-Match: "5f2c1e9a7b3d4c6e8f0a1b2c3d4e5f60"',
    "Accept-Encoding: gzip",
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`);
}
