/** Where a region is drawn on the map, degrees. */
export interface Coordinates {
  latitude: number;
  longitude: number;
}

/** What a stack decides about its dashboards; the defaults stand in `configSchema/dashboards.ts`. */
export interface DashboardSettings {
  /** What uids, titles and tags begin with, so that two stacks can share a Grafana. */
  prefix: string;
  /** By region; one without an entry is on every panel but the map. */
  regions: Readonly<Record<string, Coordinates>>;
  /** LogQL of the access records; `$address` and `$vps` stand for what is selected. */
  logQuery: string;
}
