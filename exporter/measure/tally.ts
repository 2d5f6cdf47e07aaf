import type { UnknownReason } from "../identify/directory";

/** Fields that a record may lack, or hold something unusable in, and be counted all the same. */
export const checkedFields = ["time", "code", "duration", "request_bytes", "response_bytes"] as const;

/** One of the checked fields. */
export type CheckedField = (typeof checkedFields)[number];

/** What can be wrong with a field: not there, or nonsense (no number, out of range, in the future). */
export const fieldFaults = ["missing", "invalid"] as const;

/** One of the faults. */
export type FieldFault = (typeof fieldFaults)[number];

/** Reasons for an unknown caller, in the order of the exposition. */
export const unknownReasons = [
  "no_address",
  "not_in_inventory",
  "private_address",
  "shared_address",
] as const satisfies readonly UnknownReason[];

/** Plain counts beside the series of the VPSes; read when the exporter's own metrics are scraped. */
export class Tally {
  /** Records that became a request of a VPS or of the unknown callers. */
  counted = 0;
  /** Requests of callers without a name, by reason. */
  readonly unknown: Record<UnknownReason, number> = {
    ...{ no_address: 0, not_in_inventory: 0, private_address: 0, shared_address: 0 },
  };
  /** A count for each field and fault. */
  private readonly faults = new Float64Array(checkedFields.length * fieldFaults.length);

  /** Notes a field that could not be used. */
  addFault(field: CheckedField, fault: FieldFault): void {
    const at = faultAt(field, fault);
    this.faults[at] = (this.faults[at] ?? 0) + 1;
  }

  /** How often a field could not be used. */
  faultCount(field: CheckedField, fault: FieldFault): number {
    return this.faults[faultAt(field, fault)] ?? 0;
  }
}

function faultAt(field: CheckedField, fault: FieldFault): number {
  return checkedFields.indexOf(field) * fieldFaults.length + fieldFaults.indexOf(fault);
}
