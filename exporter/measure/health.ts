import { collectDefaultMetrics, Counter, Gauge, Registry } from "prom-client";
import { version } from "../version";
import type { Measurements } from "./measurements";
import { checkedFields, fieldFaults, unknownReasons } from "./tally";

/** Why a batch of records was not taken, in the order of the exposition. */
export const batchRejections = [
  /** The bytes are no OTLP logs request. */
  "malformed",
  /** More records than a batch may hold. */
  "too_many_records",
  /** The call ended before its message was there in full: too large, not decompressible, or given up by the sender. */
  "incomplete",
  /** No inventory was loaded yet; the sender is told to try again. */
  "no_inventory",
] as const;

/** One of the reasons. */
export type BatchRejection = (typeof batchRejections)[number];

/** Why a record was not counted. */
export const recordRejections = [
  /** It has none of the attributes of an access record. */
  "foreign",
] as const;

const prefix = "vpsight_exporter_";

/** The exporter's metrics about itself, in a registry of their own. */
export class ExporterHealth {
  /** Holds everything whose name starts with `vpsight_exporter_`. */
  readonly registry = new Registry();
  private readonly batches = this.counter("batches_total", "Batches that were taken.");
  private readonly duplicateBatches = this.counter(
    "batches_duplicate_total",
    "Batches that came again after they were taken, as when an answer was lost; answered and not counted again.",
  );
  private readonly rejectedBatches = this.counter(
    "batch_rejected_total",
    "Batches that were refused.",
    "reason",
  );
  private readonly rejectedRecords = this.counter("records_rejected_total", "Records not counted.", "reason");
  private readonly loadErrors = this.counter(
    "inventory_load_errors_total",
    "Times that the inventory became unreadable or wrong; each different failure counts once.",
    "source",
  );
  private readonly generation = this.gauge(
    "inventory_generation",
    "How many inventories were put in force since the start.",
  );
  private readonly entries = this.gauge(
    "inventory_entries",
    "VPSes in the inventory in force; retired ones too.",
  );
  private readonly lastSuccess = this.gauge(
    "inventory_last_success_timestamp_seconds",
    "When the inventory was last read and found right, changed or not; 0 means never.",
    "source",
  );
  private readonly lastLoadOk = this.gauge(
    "inventory_last_load_ok",
    "1 when the last attempt to read the inventory succeeded, 0 when the one in force is older.",
    "source",
  );
  private foreignRecords = 0;

  /** @param measurements whose counts about records are shown. */
  constructor(measurements: Measurements) {
    const { tally } = measurements;
    const { registers } = this;
    for (const reason of batchRejections) this.rejectedBatches.inc({ reason }, 0);
    for (const reason of recordRejections) this.rejectedRecords.inc({ reason }, 0);
    this.gauge("build_info", "Always 1.", "version", "node").set({ version, node: process.versions.node }, 1);

    // What changes with every record is kept as plain numbers and read here, when somebody asks.
    const foreignRecords = () => this.foreignRecords;
    new Counter({
      name: `${prefix}records_total`,
      help: "Records received in batches that were taken, by what became of them.",
      labelNames: ["result"],
      registers,
      collect() {
        this.reset();
        this.inc({ result: "counted" }, tally.counted);
        this.inc({ result: "rejected" }, foreignRecords());
      },
    });
    new Counter({
      name: `${prefix}unknown_requests_total`,
      help: "Requests counted as unknown, by why the caller has no name.",
      labelNames: ["reason"],
      registers,
      collect() {
        this.reset();
        for (const reason of unknownReasons) this.inc({ reason }, tally.unknown[reason]);
      },
    });
    new Counter({
      name: `${prefix}field_faults_total`,
      help: "Fields of counted records that could not be used: not there, or nonsense.",
      labelNames: ["field", "fault"],
      registers,
      collect() {
        this.reset();
        for (const field of checkedFields) {
          for (const fault of fieldFaults) this.inc({ field, fault }, tally.faultCount(field, fault));
        }
      },
    });
  }

  /** Adds the figures about the process (CPU, memory, event loop, garbage collection). */
  watchProcess(): void {
    collectDefaultMetrics({ register: this.registry, prefix });
    // Gauges that call themselves totals, which promtool objects to; the same numbers are there by type.
    for (const kind of ["handles", "requests", "resources"]) {
      this.registry.removeSingleMetric(`${prefix}nodejs_active_${kind}_total`);
    }
  }

  /** A batch was taken. @param foreign how many of its records were none of ours. */
  batchTaken(foreign: number): void {
    this.batches.inc();
    this.foreignRecords += foreign;
    this.rejectedRecords.inc({ reason: "foreign" }, foreign);
  }

  /** A batch came again that was taken before. */
  batchDuplicate(): void {
    this.duplicateBatches.inc();
  }

  /** A batch was refused. */
  batchRejected(reason: BatchRejection): void {
    this.rejectedBatches.inc({ reason });
  }

  /** A source exists; its series start at 0. */
  watchSource(source: string): void {
    this.loadErrors.inc({ source }, 0);
    this.lastSuccess.set({ source }, 0);
    this.lastLoadOk.set({ source }, 0);
  }

  /** A new inventory is in force. */
  inventoryChanged(source: string, entries: number): void {
    this.generation.inc();
    this.entries.set(entries);
    this.inventoryConfirmed(source);
  }

  /** The source was read and is right. */
  inventoryConfirmed(source: string): void {
    this.lastSuccess.set({ source }, Date.now() / 1_000);
    this.lastLoadOk.set({ source }, 1);
  }

  /** The source failed. */
  inventoryFailed(source: string): void {
    this.loadErrors.inc({ source });
    this.lastLoadOk.set({ source }, 0);
  }

  private get registers(): Registry[] {
    return [this.registry];
  }

  private counter<L extends string>(name: string, help: string, ...labelNames: L[]): Counter<L> {
    return new Counter({ name: prefix + name, help, labelNames, registers: [this.registry] });
  }

  private gauge<L extends string>(name: string, help: string, ...labelNames: L[]): Gauge<L> {
    return new Gauge({ name: prefix + name, help, labelNames, registers: [this.registry] });
  }
}
