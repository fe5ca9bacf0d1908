/** From the text of a scenario's file to the scenario, checked. */
import * as v from "valibot";
import { exporterKinds, importerKinds, platformActions } from "../world/kinds.js";
import { check } from "./check.js";
import { otherContracts } from "./other-contracts.js";
import type { ActorSpec, Fault, Reading, Scenario, ScenarioCell } from "./scenario.js";
import { type ScenarioFile, scenarioFile } from "./schema.js";
import { type Path, SourceMap } from "./source-map.js";
import { type Actions, StepReader } from "./steps.js";

/** What a step may begin with besides an actor. */
const OF_STEPS: readonly string[] = ["race", "answer"];
const NOT_POSTED = { verdict: "NA" } as const;

/** @throws ScenarioError with the line and the field of the first mistake */
export function readScenario(text: string, file: string): Scenario {
  const source = new SourceMap(text, file);
  const raw = check(source, [], scenarioFile, source.value);
  const exporter = actor(source, ["exporter"], raw.exporter, exporterKinds, "exporter");
  const importers = raw.importers.map((spec, i) => actor(source, ["importers", i], spec, importerKinds, spec.kind));
  importers.forEach((spec, i) => checkNames(source, ["importers", i], spec, importers));
  const steps = new StepReader(source, actionsOf(source, exporter, importers));
  const { order = null, note } = raw;
  const fault = raw.fault ? faultOf(raw.fault) : null;
  const others = otherContracts(source, raw);
  return {
    id: raw.id,
    title: raw.title,
    question: raw.question,
    source: raw.source,
    order,
    fault,
    file,
    ...(note ? { note } : {}),
    topology: topology(raw.topology),
    exporter,
    importers,
    invariants: raw.invariants,
    given: steps.list(["given"], raw.given),
    steps: steps.list(["steps"], raw.steps),
    readings: raw.readings.map((reading, i) =>
      new ReadingReader(source, ["readings", i], steps).read(reading, exporter, importers),
    ),
    unbuildable: raw.unbuildable,
    cells: Object.fromEntries(Object.entries(raw.cells).map(([id, cell]) => [id, cellOf(cell)])),
    ...(others.length > 0 ? { otherContracts: others } : {}),
  };
}

function faultOf({ party, what, breaks }: NonNullable<ScenarioFile["fault"]>): Fault {
  return { party, what, ...(breaks ? { breaks } : {}) };
}

function topology(raw: ScenarioFile["topology"]): Scenario["topology"] {
  const { base, offset, acs, forwards, allowlisted, iommu, flush, ...modifiers } = raw;
  return {
    base,
    offset,
    acs,
    forwards,
    allowlisted,
    iommu,
    flush,
    modifiers,
  };
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
  const found = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (!found)
    throw source.error([...path, "kind"], `nobody plays ${kind}: choose from ${Object.keys(kinds).join(", ")}`);
  const checked = check(source, path, found.options, options) as Record<string, unknown>;
  return { name: name ?? fallback, kind, ...(cls ? { class: cls } : {}), options: checked };
}

/** An option that names another importer names one that plays. */
function checkNames(
  source: SourceMap,
  path: Path,
  { kind, options }: ActorSpec,
  importers: readonly ActorSpec[],
): void {
  for (const option of importerKinds[kind]?.namesImporter ?? []) {
    const name = options[option];
    if (typeof name === "string") needImporter(source, [...path, option], name, importers);
  }
}

function needImporter(source: SourceMap, path: Path, name: string, importers: readonly ActorSpec[]): void {
  const names = importers.map((spec) => spec.name);
  if (names.includes(name)) return;
  throw source.error(path, `there is no importer of that name: choose from ${names.join(", ")}`);
}

function actionsOf(source: SourceMap, exporter: ActorSpec, importers: readonly ActorSpec[]): Map<string, Actions> {
  const actors = new Map<string, Actions>([
    ["platform", platformActions],
    ["exporter", (exporterKinds[exporter.kind] as Kind).actions],
  ]);
  importers.forEach(({ name, kind }, i) => {
    if (OF_STEPS.includes(name))
      throw source.error(["importers", i, "name"], `${name} begins a step of its own: choose another name`);
    if (actors.has(name)) throw source.error(["importers", i], `two actors are called ${name}: give each a name`);
    actors.set(name, (importerKinds[kind] as Kind).actions);
  });
  return actors;
}

/** What a reading changes must be options that the actors have. */
class ReadingReader {
  readonly #source: SourceMap;
  readonly #path: Path;
  readonly #steps: StepReader;

  constructor(source: SourceMap, path: Path, steps: StepReader) {
    this.#source = source;
    this.#path = path;
    this.#steps = steps;
  }

  read(raw: ScenarioFile["readings"][number], exporter: ActorSpec, importers: readonly ActorSpec[]): Reading {
    const { name, contracts, steps, posted } = raw;
    const path = this.#path;
    return {
      name,
      posted,
      ...(contracts ? { contracts } : {}),
      ...(steps ? { steps: this.#steps.list([...path, "steps"], steps) } : {}),
      exporter: this.#options([...path, "exporter"], exporterKinds, exporter, raw.exporter),
      importers: this.#importers([...path, "importers"], importers, raw.importers ?? {}),
    };
  }

  #importers(
    path: Path,
    specs: readonly ActorSpec[],
    changes: NonNullable<ScenarioFile["readings"][number]["importers"]>,
  ): NonNullable<Reading["importers"]> {
    for (const name of Object.keys(changes)) needImporter(this.#source, [...path, name], name, specs);
    const changed = specs.map((spec) => {
      const at = [...path, spec.name];
      const options = this.#options(at, importerKinds, spec, changes[spec.name]);
      checkNames(this.#source, at, { ...spec, options }, specs);
      return [spec.name, options] as const;
    });
    return Object.fromEntries(changed);
  }

  #options(
    path: Path,
    kinds: Readonly<Record<string, Kind>>,
    { kind, options }: ActorSpec,
    change: Readonly<Record<string, unknown>> = {},
  ): Readonly<Record<string, unknown>> {
    const { options: schema } = kinds[kind] as Kind;
    return check(this.#source, path, schema, { ...options, ...change }) as Record<string, unknown>;
  }
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
