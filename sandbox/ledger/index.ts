export * from "./clock";
export * from "./latency";
export * from "./ledger";
export * from "./processTotals";
export * from "./prometheus";
export * from "./reconcile";
