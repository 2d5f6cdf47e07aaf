import { setTimeout as delay } from "node:timers/promises";
import { FileSource } from "./identify/fileSource";
import type { InventoryListener, InventorySource } from "./identify/source";
import { resolveEverywhere } from "./listen";
import type { Log } from "./log";
import { renderMeasurements } from "./measure/exposition";
import { ExporterHealth } from "./measure/health";
import { Measurements } from "./measure/measurements";
import type { ExporterOptions } from "./options";
import type { BatchHandler } from "./receive/server";
import { OtlpReceiver } from "./receive/server";
import { MetricsServer } from "./serve/http";
import { version } from "./version";

/** The whole exporter: an inventory, a receiver and a metrics server around one set of measurements. */
export class ExporterService {
  /** The counts, for tests and tools in the same process. */
  readonly measurements = new Measurements();
  private readonly health = new ExporterHealth(this.measurements);
  private readonly inventory: InventorySource;
  private metricsServer: MetricsServer | undefined;
  private receiver: OtlpReceiver | undefined;
  private inventoryLoaded = false;
  private draining = false;

  private constructor(
    private readonly options: ExporterOptions,
    private readonly log: Log,
  ) {
    this.inventory = new FileSource({ path: options.inventoryFile });
  }

  /**
   * Starts everything. An inventory that is missing or wrong is no failure: the service is then alive but
   * not ready until there is a right one.
   * @throws ListenError when a port cannot be had; nothing is left running then.
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
    this.receiver?.close();
    await this.metricsServer?.close();
    this.health.registry.clear();
  }

  private async run(): Promise<void> {
    const { options, log } = this;
    this.health.watchProcess();
    this.metricsServer = await MetricsServer.start({
      listen: await resolveEverywhere(options.httpListen, log),
      content: { metrics: () => this.renderMetrics(), notReady: () => this.notReady() },
    });
    this.health.watchSource(this.inventory.name);
    await this.inventory.start(this.createInventoryListener());
    this.receiver = await OtlpReceiver.start({
      listen: await resolveEverywhere(options.otlpListen, log),
      maxMessageBytes: options.maxMessageBytes,
      handler: this.createBatchHandler(),
    });
    log.info("started", {
      version,
      otlpPort: this.otlpPort,
      httpPort: this.httpPort,
      ready: this.notReady().length === 0,
    });
  }

  private createInventoryListener(): InventoryListener {
    const { health, log, inventory: source, measurements } = this;
    let failing = false;
    return {
      changed: (inventory) => {
        failing = false;
        measurements.setInventory(inventory);
        this.inventoryLoaded = true;
        health.inventoryChanged(source.name, inventory.vps.length);
        log.info("inventory in force", { source: inventory.source, vps: inventory.vps.length });
      },
      confirmed: () => {
        if (failing) log.info("inventory as it was before the failure");
        failing = false;
        health.inventoryConfirmed(source.name);
      },
      failed: (error) => {
        failing = true;
        health.inventoryFailed(source.name);
        const kept = this.inventoryLoaded ? "the last good one" : "none";
        log.error("inventory not usable", { kept, problem: error.message });
      },
    };
  }

  private createBatchHandler(): BatchHandler {
    const { health, measurements } = this;
    return {
      ready: () => this.inventoryLoaded,
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

  private notReady(): string[] {
    const reasons: string[] = [];
    if (!this.inventoryLoaded) reasons.push("no inventory is loaded");
    if (this.receiver === undefined) reasons.push("OTLP is not listening");
    if (this.draining) reasons.push("draining");
    return reasons;
  }
}
