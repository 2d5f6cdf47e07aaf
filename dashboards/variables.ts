import type { DataSourceRef } from "@grafana/grafana-foundation-sdk/common";
import {
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  VariableHide,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";

/** The Prometheus that the person looking has chosen; no dashboard names one of its own. */
export const datasource: DataSourceRef = { type: "prometheus", uid: "$datasource" };

/** What the variables have selected. `region` is on every dashboard, the others where the name says so. */
export const selected = {
  region: 'region=~"$region"',
  vps: 'region=~"$region",vps=~"$vps"',
  endpoint: 'region=~"$region",vps=~"$vps",endpoint=~"$endpoint"',
} as const;

export const datasourceVariable = () =>
  new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus");

/** The Loki that the log link opens. */
export const logsVariable = () => new DatasourceVariableBuilder("logs").label("Logs").type("loki");

export const regionVariable = () => labelVariable("region", "Region", "label_values(vps_info, region)");

export const vpsVariable = () =>
  labelVariable("vps", "VPS", `label_values(vps_info{${selected.region}}, vps)`);

export const endpointVariable = () =>
  labelVariable("endpoint", "Endpoint", `label_values(vps_requests_total{${selected.region}}, endpoint)`);

/** The addresses of the VPSes that are selected, for the logs; an entry's addresses are one label, joined by commas. */
export const addressVariable = () =>
  labelVariable("address", "Address", `label_values(vps_info{${selected.vps}}, addresses)`)
    .regex("/([^,]+)/g")
    .hide(VariableHide.HideVariable);

function labelVariable(name: string, label: string, query: string) {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(datasource)
    .query(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue(".*")
    .current({ text: "All", value: "$__all" });
}
