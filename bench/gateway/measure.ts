import { join } from "node:path";
import { cpuMicroseconds } from "../cpu";
import { freePorts } from "../ports";
import { Program } from "../program";
import { gatewayBootstrap, upstreamBootstrap } from "./bootstrap";
import { startEnvoy } from "./envoy";
import { LoadGenerator, type Latencies } from "./load";
import { otlpCluster, type Variant } from "./variants";

export interface GatewaySettings {
  /** Core of the measured Envoy, and the one of everything else. */
  cores: { measured: number; others: number };
  /** How often each variant has a burst. */
  rounds: number;
  /** How often each variant has its turn at an even pace. */
  pacedRounds: number;
  /** Length of the burst whose CPU time counts, and of the paced one whose latency counts. */
  seconds: { saturated: number; paced: number };
  requestsPerSecond: number;
  /** For logs and configuration. */
  directory: string;
  onRound?: (round: number) => unknown;
}

/** What was measured of each variant, by its name, in order of rounds. */
export interface GatewayTurns {
  /** Microseconds of CPU per request in a burst at full speed. */
  cpu: ReadonlyMap<string, number[]>;
  /** At the even pace. */
  latencies: ReadonlyMap<string, Latencies[]>;
}

const connections = 16;
const body = JSON.stringify({ server_port: 443, network: "tcp", pad: "x".repeat(400) });
/** Bursts are short and many, since a shared machine drifts from second to second; figures compare neighbours. */
export async function measureGateway(
  variants: readonly Variant[],
  settings: GatewaySettings,
): Promise<GatewayTurns> {
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
      bootstrap: gatewayBootstrap(listeners, { admin, upstream, sinks: { [otlpCluster]: sinkPort } }),
    });
    programs.push(gateway);

    const cpu = new Map(variants.map(({ name }) => [name, [] as number[]]));
    const open = (index: number) =>
      LoadGenerator.open(
        ports[index] ?? 0,
        connections,
        request(variants[index]?.path ?? ""),
        Buffer.byteLength(body),
      );
    const loads = await Promise.all(variants.map((_, index) => open(index)));
    // Round 0 warms everything up and does not count. The order turns, so that none always follows the same.
    for (let round = 0; round <= rounds; round += 1) {
      for (const { index, name } of inTurn(variants, round)) {
        const before = cpuMicroseconds(gateway.pid);
        const requests = (await loads[index]?.saturate(seconds.saturated)) ?? 0;
        // What is still buffered is sent within a second, in a neighbour's burst: one batch of some thousand records.
        if (round > 0) cpu.get(name)?.push((cpuMicroseconds(gateway.pid) - before) / requests);
      }
      settings.onRound?.(round);
    }
    for (const load of loads) load.close();
    const latencies = new Map(variants.map(({ name }) => [name, [] as Latencies[]]));
    for (let round = 0; round < settings.pacedRounds; round += 1) {
      for (const { index, name } of inTurn(variants, round)) {
        const load = await open(index);
        latencies.get(name)?.push(await load.pace(seconds.paced, settings.requestsPerSecond));
        load.close();
      }
    }
    return { cpu, latencies };
  } finally {
    await Promise.all(programs.map((program) => program.stop()));
  }
}

function inTurn(variants: readonly Variant[], round: number): { name: string; index: number }[] {
  const named = variants.map(({ name }, index) => ({ name, index }));
  const first = round % variants.length;
  return [...named.slice(first), ...named.slice(0, first)];
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
