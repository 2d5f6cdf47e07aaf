import { configSchema } from "../configSchema";
import type { DashboardSettings } from "./settings";

const { dashboards, namespace } = configSchema.shape;

/** What a stack gets that says nothing of dashboards; `generated/` is made with it. */
export const defaultSettings: DashboardSettings = {
  ...dashboards.parse(undefined),
  prefix: namespace.parse(undefined).name,
};
