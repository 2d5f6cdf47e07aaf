import { version as packageVersion } from "../package.json";

/** Version of this exporter. */
export const version: string = packageVersion;
