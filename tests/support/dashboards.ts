/** What the tests read of a dashboard's JSON model. https://grafana.com/docs/grafana/latest/visualizations/dashboards/build-dashboards/view-dashboard-json-model/ */
export interface Model {
  uid: string;
  title: string;
  tags: string[];
  refresh: string;
  panels: ModelPanel[];
  templating: { list: { name: string; type: string }[] };
  links: { type: string; url?: string }[];
}

export interface ModelPanel {
  id?: number;
  type: string;
  title: string;
  description?: string;
  datasource?: { uid: string };
  gridPos: { x: number; y: number; w: number; h: number };
  targets: Target[];
  transformations?: { id: string; options: object }[];
  fieldConfig: {
    defaults: { unit?: string };
    overrides: { matcher: { id: string; options: string }; properties: { id: string; value: unknown }[] }[];
  };
}

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  format?: string;
}

/** The panels of a dashboard that show something: all but the headings of rows. */
export function panelsOf(text: string): ModelPanel[] {
  return (JSON.parse(text) as Model).panels.filter(({ type }) => type !== "row");
}

/** What is wrong with a dashboard, one sentence each. */
export function lint(text: string): string[] {
  const model = JSON.parse(text) as Model;
  const panels = panelsOf(text);
  const variables = new Set(model.templating.list.map(({ name }) => name));
  const problems = panels.flatMap((panel) =>
    [...panelProblems(panel), ...panel.targets.flatMap((target) => queryProblems(target, variables))].map(
      (problem) => `${model.uid}, ${panel.title}: ${problem}`,
    ),
  );
  return [...problems, ...overlaps(model.panels).map((problem) => `${model.uid}, ${problem}`)];
}

function panelProblems({
  title,
  description,
  datasource,
  fieldConfig,
  targets,
  transformations,
}: ModelPanel) {
  const problems: string[] = [];
  if (title === "") problems.push("has no title");
  if ((description ?? "").length < 10) problems.push("has no description");
  if (datasource?.uid !== "$datasource") problems.push("has a data source of its own");
  if (targets.length === 0) problems.push("has no query");
  if (new Set(targets.map(({ refId }) => refId)).size < targets.length)
    problems.push("names two queries alike");
  // A table's units are its columns'.
  const columns = fieldConfig.overrides.filter(({ properties }) =>
    properties.some(({ id }) => id === "unit"),
  );
  if (fieldConfig.defaults.unit === undefined && columns.length < targets.length)
    problems.push("has no unit");
  const named = JSON.stringify(transformations ?? []).matchAll(/"(?:Value|Trend) #(\w+)"/g);
  for (const [, refId] of named) {
    if (!targets.some((target) => target.refId === refId))
      problems.push(`transforms query ${refId}, which it has not`);
  }
  return problems;
}

/** `state` tells who is in service, `result` and the like are ours; but who and where is for the person who looks. */
const chosenLabels =
  /\b(region|vps|endpoint|job|instance|namespace|pod|cluster)\s*(?:=~|!~|!=|=)\s*"([^"]*)"/g;

function queryProblems({ expr, legendFormat = "", format }: Target, variables: ReadonlySet<string>) {
  const problems: string[] = [];
  if (legendFormat === "" && format !== "table") problems.push("has a query without a legend");
  for (const [, label, value = ""] of expr.matchAll(chosenLabels)) {
    if (!value.startsWith("$")) problems.push(`chooses ${label} "${value}" itself`);
  }
  for (const [, name = ""] of expr.matchAll(/\$([a-zA-Z]\w*)/g)) {
    if (!variables.has(name) && !name.startsWith("__"))
      problems.push(`reads $${name}, which is no variable here`);
  }
  return problems;
}

function overlaps(panels: readonly ModelPanel[]): string[] {
  const taken = new Map<string, string>();
  return panels.flatMap(({ title, gridPos: { x, y, w, h } }) => {
    const problems = x + w > 24 ? [`${title}: is wider than the grid`] : [];
    for (let column = x; column < x + w; column += 1) {
      for (let row = y; row < y + h; row += 1) {
        const other = taken.get(`${column},${row}`);
        if (other !== undefined) return [...problems, `${title}: lies on ${other}`];
        taken.set(`${column},${row}`, title);
      }
    }
    return problems;
  });
}
