/** Where a contract is silent: implementations that obey it all the same, side by side. Where they differ, it is UNSPEC. */
import type { Reading, Scenario } from "./scenario/scenario.js";
import type { Rule, Schedules, Verdict } from "./result.js";
import { type CellOptions, type Outcome, runCell } from "./run.js";
import { sameVerdict, verdictText } from "./scenario/verdict-text.js";

/** What a cast came to, over all readings. */
export interface Played {
  readonly verdict: Verdict;
  readonly rule: Rule;
  readonly violations: Outcome["violations"];
  /** What a refusal was refused with. */
  readonly error: Outcome["error"];
  readonly forwardsAsked: boolean;
  /** Of all readings together; `null`: nothing was run. */
  readonly schedules: Schedules | null;
  /** The worst run, to be shown; `null`: nothing was run. */
  readonly worst: (Outcome & { readonly scenario: Scenario }) | null;
}

export function playAll(options: CellOptions): Played {
  const { scenario, column, cast } = options;
  const id = column.like ?? column.contract.id;
  const why = scenario.unbuildable[id];
  if (why) return notPlayed({ kind: "scenario", id: scenario.id, text: why });
  const isPosted = cast.exporterAsPosted || cast.importerAsPosted;
  const isRead = ({ contracts, posted }: Reading): boolean =>
    (contracts?.includes(id) ?? true) && (posted || !isPosted);
  const readings = scenario.readings.filter(isRead);
  if (readings.length === 0) return played([{ name: "", scenario, ...runCell(options) }]);
  const runs = readings.map((reading) => {
    const read = readAs(scenario, reading);
    return { name: reading.name, scenario: read, ...runCell({ ...options, scenario: read }) };
  });
  // Who breaks a rule of the contract is no reading of it, unless that is the question.
  const obedient = runs.filter((run) =>
    run.violations.every((f) => f.party === "framework" || f.party === scenario.fault?.party),
  );
  return played(obedient.length > 0 ? obedient : runs);
}

type Run = Outcome & { readonly name: string; readonly scenario: Scenario };

function played(runs: readonly Run[]): Played {
  const [first] = runs as readonly [Run];
  const worst = runs.reduce((a, b) => (b.badness > a.badness ? b : a), first);
  const differ = runs.some((run) => !sameVerdict(run.verdict, first.verdict));
  const text = `implementations that obey differ: ${runs.map((r) => `${r.name}: ${verdictText(r.verdict)}`).join("; ")}`;
  return {
    verdict: differ ? { verdict: "UNSPEC" } : worst.verdict,
    rule: differ ? { kind: "readings", id: worst.scenario.id, text } : worst.rule,
    violations: worst.violations,
    error: worst.error,
    forwardsAsked: runs.some((r) => r.forwardsAsked),
    schedules: {
      explored: runs.reduce((sum, r) => sum + r.schedules.explored, 0),
      ...boundOf(runs.map((r) => r.schedules)),
    },
    worst,
  };
}

function boundOf(all: readonly Schedules[]): Omit<Schedules, "explored"> {
  const bound = all.find((schedules) => !schedules.exhausted)?.bound;
  return { exhausted: bound === undefined, ...(bound ? { bound } : {}) };
}

function notPlayed(rule: Rule): Played {
  return {
    verdict: { verdict: "NA" },
    rule,
    violations: [],
    error: null,
    forwardsAsked: false,
    schedules: null,
    worst: null,
  };
}

/** The scenario as one implementation plays it. */
function readAs(scenario: Scenario, { exporter = {}, importers = {}, steps = scenario.steps }: Reading): Scenario {
  return {
    ...scenario,
    exporter: { ...scenario.exporter, options: { ...scenario.exporter.options, ...exporter } },
    importers: scenario.importers.map((i) => ({ ...i, options: { ...i.options, ...importers[i.name] } })),
    steps,
  };
}
