export { buildXboard } from "./build";
export { XboardControl } from "./controlClient";
export type { FaultEffect, FaultRule, Faults } from "./faults";
export { noFaults } from "./faults";
export type { SeenRequest, SeenRequests, Xboard, XboardOptions } from "./server";
export { startXboard } from "./server";
