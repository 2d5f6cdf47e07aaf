import { MappingType, type ValueMap } from "@grafana/grafana-foundation-sdk/dashboard";
import { recorded } from "../rules/recorded";
import { selected } from "./variables";

const { active, silent, failing, slow, lastRequest } = recorded.vps;

/** What a VPS is, as a number that dashboards colour; the alerts ask the same recorded series. */
const states = [
  { value: 0, text: "well", color: "green" },
  { value: 1, text: "slow", color: "yellow" },
  { value: 2, text: "failing", color: "orange" },
  { value: 3, text: "silent", color: "red" },
  { value: 4, text: "never heard", color: "purple" },
  { value: 5, text: "not in service", color: "text" },
] as const;

const valueOf = (text: (typeof states)[number]["text"]) => states.findIndex((state) => state.text === text);

/** One series per VPS (labels vps, region): its state, the worst that is true. `or` keeps what stands first. */
export const stateQuery = [
  state("silent", `${silent}{${selected.vps}}`),
  state("failing", `${failing}{${selected.vps}}`),
  state("slow", `${slow}{${selected.vps}}`),
  state(
    "never heard",
    `(${active}{${selected.vps}} unless on (vps, region) ${lastRequest}{${selected.vps}})`,
  ),
  state("well", `${active}{${selected.vps}}`),
  state("not in service", `max by (vps, region) (vps_info{${selected.vps},state!="active"})`),
].join("\nor ");

function state(text: (typeof states)[number]["text"], expression: string): string {
  return `(${expression} * 0 + ${valueOf(text)})`;
}

/** Names and colours of the states' numbers. */
export const stateMappings: ValueMap[] = [
  {
    type: MappingType.ValueToText,
    options: Object.fromEntries(
      states.map(({ value, text, color }, index) => [String(value), { text, color, index }]),
    ),
  },
];

/** Colours alone, for panels that draw numbers: each state from its number on. */
export const stateThresholds = states.map(({ value, color }, index) => ({
  value: index === 0 ? null : value,
  color,
}));
