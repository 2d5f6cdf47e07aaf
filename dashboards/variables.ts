import type { DataSourceRef } from "@grafana/grafana-foundation-sdk/common";
import {
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  VariableRefresh,
  VariableSort,
} from "@grafana/grafana-foundation-sdk/dashboard";

/** The Prometheus that the person looking has chosen; no dashboard names one of its own. */
export const datasource: DataSourceRef = { type: "prometheus", uid: "$datasource" };

export const datasourceVariable = () =>
  new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus");

export const regionVariable = () => labelVariable("region", "Region", "label_values(vps_info, region)");

export const vpsVariable = () =>
  labelVariable("vps", "VPS", 'label_values(vps_info{region=~"$region"}, vps)');

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
