import { setTimeout as delay } from "node:timers/promises";
import { FileSource } from "./identify/fileSource";
import type { FleetListener } from "./identify/fleetInventory";
import { FleetInventory } from "./identify/fleetInventory";
import { HttpSource } from "./identify/httpSource";
import type { InventorySource } from "./identify/source";
import { resolveEverywhere } from "./listen";
import type { Log } from "./log";
import { renderMeasurements } from "./measure/exposition";
import { ExporterHealth } from "./measure/health";
import { Measurements } from "./measure/measurements";
import { renderMesh } from "./measure/meshExposition";
import type { MeshSettings } from "./measure/meshSettings";
import type { ExporterOptions } from "./options";
import { CertificateFiles } from "./receive/certificates";
import type { BatchHandler } from "./receive/server";
import { OtlpReceiver } from "./receive/server";
import type { TlsSettings } from "./receive/tls";
import { MetricsServer } from "./serve/http";
import { StatusReader } from "./serve/status";
import { version } from "./version";

/** The whole exporter: an inventory, a receiver and a metrics server around one set of measurements. */
export class ExporterService {
  /** The counts, for tests and tools in the same process. */
  readonly measurements: Measurements;
  private readonly health: ExporterHealth;
  private readonly statusReader: StatusReader;
  private readonly sources: readonly InventorySource[];
  private readonly inventory: FleetInventory;
  private metricsServer: MetricsServer | undefined;
  private receiver: OtlpReceiver | undefined;
  private certificates: CertificateFiles | undefined;
  private draining = false;

  private constructor(
    private readonly options: ExporterOptions,
    private readonly log: Log,
  ) {
    this.measurements = new Measurements({ followStrangers: options.statusAddresses });
    this.health = new ExporterHealth(this.measurements);
    this.statusReader = new StatusReader(this.health.registry, this.measurements);
    const { inventoryFile: path, httpInventory } = options;
    this.sources = [
      ...(path === undefined ? [] : [new FileSource({ path })]),
      ...(httpInventory === undefined ? [] : [new HttpSource(httpInventory, log)]),
    ];
    this.inventory = new FleetInventory({ sources: this.sources, listener: this.createFleetListener() });
  }

  /**
   * Starts everything. An inventory that is missing or wrong is no failure: the service is then alive but
   * not ready until there is a right one.
   * @throws ListenError when a port cannot be had, CertificateError when the files of TLS cannot be used; nothing is
   * left running then.
   */
  static async start(options: ExporterOptions, log: Log): Promise<ExporterService> {
    const service = new ExporterService(options, log);
    try {
      await service.run();
    } catch (error) {
      await service.stop();
      throw error;
    }
    return service;
  }

  /** Port that takes OTLP; 0 before the start. */
  get otlpPort(): number {
    return this.receiver?.port ?? 0;
  }

  /** Port that serves metrics; 0 before the start. */
  get httpPort(): number {
    return this.metricsServer?.port ?? 0;
  }

  /**
   * Ends in order: not ready at once, no new calls, those under way finished, and metrics up for
   * `drainSeconds` more, so that Prometheus gets the last counts. Resolves when everything is stopped.
   */
  async drain(): Promise<void> {
    if (this.draining) return;
    this.draining = true;
    this.log.info("draining", { seconds: this.options.drainSeconds });
    const finished = this.receiver?.drain().then(() => this.log.info("last call finished"));
    await delay(this.options.drainSeconds * 1_000);
    // Calls that still run have had their time.
    this.receiver?.close();
    await finished;
    await this.stop();
  }

  /** Ends everything at once and gives the ports back. */
  async stop(): Promise<void> {
    this.draining = true;
    this.inventory.stop();
    this.certificates?.stop();
    this.receiver?.close();
    await this.metricsServer?.close();
    this.health.registry.clear();
  }

  private async run(): Promise<void> {
    const { options, log } = this;
    this.health.watchProcess();
    this.metricsServer = await MetricsServer.start({
      listen: await resolveEverywhere(options.httpListen, log),
      content: {
        metrics: () => this.renderMetrics(),
        notReady: () => this.notReady(),
        ...(options.mesh === undefined ? {} : { mesh: this.meshRenderer(options.mesh) }),
        status: () => this.statusReader.read(this.notReady()),
      },
    });
    for (const { name } of this.sources) this.health.watchSource(name);
    await this.inventory.start();
    this.receiver = await OtlpReceiver.start({
      listen: await resolveEverywhere(options.otlpListen, log),
      maxMessageBytes: options.maxMessageBytes,
      handler: this.createBatchHandler(),
      tls: await this.openTls(),
    });
    this.watchCertificates(this.receiver);
    log.info("started", {
      version,
      otlpPort: this.otlpPort,
      httpPort: this.httpPort,
      ready: this.notReady().length === 0,
    });
  }

  private async openTls(): Promise<TlsSettings | undefined> {
    const { otlpTls } = this.options;
    if (otlpTls === undefined) return undefined;
    const { certificateFile: certificate, keyFile: key, clientAuthorityFile: clientAuthority } = otlpTls;
    this.certificates = await CertificateFiles.open({ certificate, key, clientAuthority });
    this.health.watchTls(this.certificates.current.expiresSeconds);
    return {
      certificates: this.certificates.current,
      clientNames: otlpTls.clientNames,
      refused: (reason) => this.health.connectionRefused(reason),
    };
  }

  private watchCertificates(receiver: OtlpReceiver): void {
    const { health, log } = this;
    this.certificates?.watch({
      changed: (certificates) => {
        receiver.renewCertificates(certificates);
        health.certificatesChanged(certificates.expiresSeconds);
        log.info("certificates in force", {
          expires: new Date(certificates.expiresSeconds * 1_000).toJSON(),
        });
      },
      failed: (error) =>
        log.error("certificates not usable", { kept: "the last good ones", problem: error.message }),
    });
  }

  private createFleetListener(): FleetListener {
    const { health, log, measurements } = this;
    const failing = new Set<InventorySource>();
    return {
      changed: async (source, inventory, keptSinceSeconds) => {
        const { vps, overridden } = inventory;
        if (keptSinceSeconds === undefined) failing.delete(source);
        measurements.setInventory(inventory);
        health.inventoryChanged(source.name, vps.length, overridden.length, keptSinceSeconds);
        log.info("inventory in force", {
          source: inventory.source,
          vps: vps.length,
          ...(keptSinceSeconds === undefined
            ? {}
            : { keptSince: new Date(keptSinceSeconds * 1_000).toJSON() }),
          ...(overridden.length === 0 ? {} : { overridden: overridden.slice(0, 10) }),
        });
      },
      confirmed: (source) => {
        if (failing.delete(source))
          log.info("inventory as it was before the failure", { source: source.name });
        health.inventoryConfirmed(source.name);
      },
      failed: (source, error) => {
        failing.add(source);
        health.inventoryFailed(source.name);
        this.statusReader.noteProblem(source.name, error);
        const kept = this.inventory.loaded ? "the last good one" : "none";
        log.error("inventory not usable", { source: source.name, kept, problem: error.message });
      },
      gaveUpWaiting: (sources) =>
        log.error("not waiting any longer", { missing: sources.map(({ place }) => place) }),
    };
  }

  private createBatchHandler(): BatchHandler {
    const { health, measurements } = this;
    return {
      ready: () => this.inventory.missing.length === 0,
      take: (batch) => {
        measurements.count(batch);
        health.batchTaken(batch.foreign);
      },
      duplicate: () => health.batchDuplicate(),
      reject: (reason) => health.batchRejected(reason),
    };
  }

  private async *renderMetrics(): AsyncGenerator<string | Uint8Array, void, undefined> {
    yield await this.health.registry.metrics();
    yield* renderMeasurements(this.measurements);
  }

  private meshRenderer(settings: MeshSettings) {
    const { measurements } = this;
    return async function* (): AsyncGenerator<string, void, undefined> {
      yield* renderMesh(measurements, settings);
    };
  }

  private notReady(): string[] {
    const reasons: string[] = [];
    const { loaded, missing } = this.inventory;
    if (!loaded) reasons.push("no inventory is loaded");
    else reasons.push(...missing.map(({ place }) => `the inventory ${place} is not loaded yet`));
    if (this.receiver === undefined) reasons.push("OTLP is not listening");
    if (this.draining) reasons.push("draining");
    return reasons;
  }
}
