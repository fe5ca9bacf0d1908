/** The comparison: every scenario under every contract, on one machine. */
import { topologyOf, type Capture, type Topology } from "@dma-buf/pci";
import { bind, type Binding } from "./binding.js";
import { blame } from "./blame.js";
import { type Column, columns } from "./columns.js";
import type { Comparison, Expected, Explanation, Result, Verdict } from "./result.js";
import { AS_POSTED, type CellOptions, CONFORMING, type Outcome, runCell, traceCell } from "./run.js";
import { hasRace, type Scenario } from "./scenario.js";
import { catalogue } from "./scenarios/index.js";

/** Bad use: the message names the value, the rule and the remedy. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface CompareOptions {
  /** The host; without one every scenario runs on the catalogue's topology. */
  readonly capture?: Capture;
  /** Ids; all without. @throws UsageError for one that does not exist */
  readonly scenarios?: readonly string[];
  readonly contracts?: readonly string[];
  /** Columns of yours, after ours. @throws UsageError when one has the id of another */
  readonly columns?: readonly Column[];
}

/**
 * Runs scenarios under contracts. Builds a machine for each order of each cell; changes nothing outside.
 * @example
 * const { results } = compare({ scenarios: ["S34c"] });
 * results.map((r) => `${r.contract} ${r.conforming.verdict}`); // ["dma-address OK", "pfn STALE"]
 */
export function compare(options: CompareOptions = {}): Comparison {
  const scenarios = choose("scenario", catalogue, (s) => s.id, options.scenarios);
  const chosen = choose("contract", withOwn(options.columns), (c) => c.contract.id, options.contracts);
  const host = hostOf(options.capture);
  const results = scenarios.flatMap((scenario) => {
    const binding = bind(scenario, host);
    return chosen.map((column) => cell(scenario, column, binding).result);
  });
  return { schemaVersion: 1, machine: options.capture?.source ?? "the catalogue's topologies", results };
}

export interface ExplainOptions {
  readonly capture?: Capture;
  readonly scenario: string;
  readonly contract: string;
  /** @defaultValue "conforming" */
  readonly run?: Explanation["run"];
}

/** One cell with the trace of its worst and shortest order. @throws UsageError for ids that do not exist, or NA. */
export function explain({ capture, scenario: id, contract, run = "conforming" }: ExplainOptions): Explanation {
  const [scenario] = choose("scenario", catalogue, (s) => s.id, [id]) as [Scenario];
  const [column] = choose("contract", columns, (c) => c.contract.id, [contract]) as [Column];
  const binding = bind(scenario, hostOf(capture));
  const { result, conforming, posted } = cell(scenario, column, binding);
  const outcome = run === "asPosted" ? posted : conforming;
  if (!outcome)
    throw new UsageError(`${id} under ${contract} has no posted run: nobody posted that pair. Leave out --posted`);
  const options = cellOptions(scenario, column, binding, run === "asPosted" ? AS_POSTED : CONFORMING);
  return { schemaVersion: 1, result, run, replayToken: outcome.token, trace: traceCell(options, outcome.token) };
}

/** @throws UsageError for a capture in which nobody could be anybody's peer */
function hostOf(capture: Capture | undefined): Topology | null {
  if (!capture) return null;
  const devices = capture.functions.filter((f) => !f.bridge && f.className !== "Host bridge");
  if (new Set(devices.map((f) => f.address.slice(0, -2))).size < 2)
    throw new UsageError(
      `${capture.source}: ${devices[0]?.address ?? "no function"} has no second device beside it, and an importer needs one. ` +
        "Save the output of `sudo lspci -vvv` whole",
    );
  return topologyOf(capture);
}

interface Cell {
  readonly result: Result;
  readonly conforming: Outcome;
  readonly posted: Outcome | null;
}

function cell(scenario: Scenario, column: Column, binding: Binding): Cell {
  const { id: contract } = column.contract;
  const run = (cast: CellOptions["cast"], forwards?: boolean): Outcome =>
    runCell(cellOptions(scenario, column, binding, cast, forwards));
  const conforming = run(CONFORMING);
  const posted = contract in scenario.implementations ? run(AS_POSTED) : null;
  const expected = scenario.expected[contract] ?? null;
  const otherwise =
    scenario.topology.forwards === "unknown" && conforming.forwardsAsked ? run(CONFORMING, false).verdict : null;
  const contested = scenario.contested?.[contract];
  const found = {
    asPosted: posted?.verdict ?? ({ verdict: "NA" } as const),
    conforming: conforming.verdict,
    blame: blame(posted, conforming, () => run({ exporterAsPosted: false, importerAsPosted: true })),
  };
  const result: Result = {
    scenario: scenario.id,
    title: scenario.title,
    exporter: "vfio-pci",
    importer: scenario.importers.map((i) => i.role).join(", "),
    importerClass: scenario.importerClass,
    contract,
    topology: binding.where,
    binding: binding.text,
    ...found,
    basis: expected?.basis ?? "derived",
    rule: conforming.rule,
    ...(otherwise && !sameVerdict(otherwise, conforming.verdict)
      ? { unknown: { assumed: "the root complex forwards peer requests", otherwise } }
      : {}),
    expected,
    ...(contested ? { contested } : {}),
    asExpected: !expected || isAsExpected(found, expected),
    ...(hasRace(scenario) ? { schedules: conforming.schedules } : {}),
  };
  return { result, conforming, posted };
}

function isAsExpected(found: Pick<Result, "asPosted" | "conforming" | "blame">, expected: Expected): boolean {
  return (
    sameVerdict(found.asPosted, expected.asPosted) &&
    sameVerdict(found.conforming, expected.conforming) &&
    found.blame === expected.blame
  );
}

function withOwn(own: readonly Column[] = []): readonly Column[] {
  const all = [...columns, ...own];
  const ids = all.map((c) => c.contract.id);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice) throw new UsageError(`two columns are called ${twice}: give your contract an id of its own`);
  return all;
}

function cellOptions(
  scenario: Scenario,
  column: Column,
  binding: Binding,
  cast: CellOptions["cast"],
  forwards = scenario.topology.forwards !== "no",
): CellOptions {
  return { scenario, column, binding, cast, forwards };
}

function sameVerdict(a: Verdict, b: Verdict): boolean {
  return a.verdict === b.verdict && a.errno === b.errno && a.stage === b.stage;
}

function choose<T>(
  what: string,
  all: readonly T[],
  idOf: (item: T) => string,
  ids: readonly string[] | undefined,
): readonly T[] {
  if (!ids) return all;
  return ids.map((id) => {
    const found = all.find((item) => idOf(item) === id);
    if (!found) throw new UsageError(`unknown ${what} ${JSON.stringify(id)}: choose from ${all.map(idOf).join(", ")}`);
    return found;
  });
}
