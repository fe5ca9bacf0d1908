/** From the text of a scenario's file to the scenario, checked. */
import * as v from "valibot";
import { exporterKinds, importerKinds, platformActions } from "../world/kinds.js";
import { check } from "./check.js";
import type { ActorSpec, Fault, Reading, Scenario, ScenarioCell } from "./scenario.js";
import { type ScenarioFile, scenarioFile } from "./schema.js";
import { type Path, SourceMap } from "./source-map.js";
import { type Actions, StepReader } from "./steps.js";

const NOT_POSTED = { verdict: "NA" } as const;

/** @throws ScenarioError with the line and the field of the first mistake */
export function readScenario(text: string, file: string): Scenario {
  const source = new SourceMap(text, file);
  const raw = check(source, [], scenarioFile, source.value);
  const exporter = actor(source, ["exporter"], raw.exporter, exporterKinds, "exporter");
  const importers = raw.importers.map((spec, i) => actor(source, ["importers", i], spec, importerKinds, spec.kind));
  const steps = new StepReader(source, actionsOf(source, exporter, importers));
  const { order = null, note } = raw;
  const fault = raw.fault ? faultOf(raw.fault) : null;
  return {
    ...{ id: raw.id, title: raw.title, question: raw.question, source: raw.source, order, fault, file },
    ...(note ? { note } : {}),
    topology: topology(raw.topology),
    exporter,
    importers,
    invariants: raw.invariants,
    given: steps.list(["given"], raw.given),
    steps: steps.list(["steps"], raw.steps),
    readings: raw.readings.map((reading, i) => readingOf(steps, ["readings", i], reading)),
    unbuildable: raw.unbuildable,
    cells: Object.fromEntries(Object.entries(raw.cells).map(([id, cell]) => [id, cellOf(cell)])),
  };
}

function faultOf({ party, what, breaks }: NonNullable<ScenarioFile["fault"]>): Fault {
  return { party, what, ...(breaks ? { breaks } : {}) };
}

function topology(raw: ScenarioFile["topology"]): Scenario["topology"] {
  const { base, offset, acs, forwards, allowlisted, iommu, flush, ...modifiers } = raw;
  return { base, offset, acs, forwards, allowlisted, iommu, flush, modifiers: modifiers as Record<string, string | boolean> };
}

interface Kind {
  readonly options: v.GenericSchema;
  readonly actions: Actions;
}

function actor(
  source: SourceMap,
  path: Path,
  { kind, name, class: cls, ...options }: ScenarioFile["exporter"],
  kinds: Readonly<Record<string, Kind>>,
  fallback: string,
): ActorSpec {
  const found = kinds[kind];
  if (!found) throw source.error([...path, "kind"], `nobody plays ${kind}: choose from ${Object.keys(kinds).join(", ")}`);
  const checked = check(source, path, found.options, options) as Record<string, unknown>;
  return { name: name ?? fallback, kind, ...(cls ? { class: cls } : {}), options: checked };
}

function actionsOf(source: SourceMap, exporter: ActorSpec, importers: readonly ActorSpec[]): Map<string, Actions> {
  const actors = new Map<string, Actions>([
    ["platform", platformActions],
    ["exporter", (exporterKinds[exporter.kind] as Kind).actions],
  ]);
  importers.forEach(({ name, kind }, i) => {
    if (actors.has(name)) throw source.error(["importers", i], `two actors are called ${name}: give each a name`);
    actors.set(name, (importerKinds[kind] as Kind).actions);
  });
  return actors;
}

function readingOf(steps: StepReader, path: Path, raw: ScenarioFile["readings"][number]): Reading {
  const { name, exporter, importers, contracts } = raw;
  return {
    name,
    ...(exporter ? { exporter } : {}),
    ...(importers ? { importers } : {}),
    ...(contracts ? { contracts } : {}),
    ...(raw.steps ? { steps: steps.list([...path, "steps"], raw.steps) } : {}),
  };
}

function cellOf({ asPosted = NOT_POSTED, by, conforming, ...rest }: ScenarioFile["cells"][string]): ScenarioCell {
  const { rule, why, contested, blame, basis } = rest;
  return {
    asPosted,
    conforming,
    blame,
    basis,
    ...(by ? { implementation: by } : {}),
    ...(rule ? { rule } : {}),
    ...(why ? { why } : {}),
    ...(contested ? { contested } : {}),
  };
}
