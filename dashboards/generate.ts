import { mkdirSync, writeFileSync } from "node:fs";
import * as path from "node:path";
import { defaultSettings } from "./defaults";
import { dashboardModels } from "./index";

/** Writes the dashboards for people who import them by hand. `make check` fails when they are not up to date. */
const directory = path.join(__dirname, "generated");
mkdirSync(directory, { recursive: true });
for (const [name, model] of Object.entries(dashboardModels(defaultSettings))) {
  writeFileSync(path.join(directory, `${name}.json`), model);
}
