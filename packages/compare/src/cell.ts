/** One cell: a scenario under a contract, played by the posted and by the conforming pair. */
import type { Strategy } from "@dma-buf/core";
import { bind, type Binding } from "./binding.js";
import { blame, type Counterfactuals } from "./blame.js";
import type { Column } from "./column.js";
import { onCalmPlatform } from "./calm.js";
import type { Orders } from "./orders.js";
import { type Played, playAll } from "./readings.js";
import { evidenceOf } from "./evidence.js";
import { badness } from "./judge.js";
import type { Basis, Explanation, Result, Verdict } from "./result.js";
import { AS_POSTED, type CellOptions, CONFORMING, GOOD_EXPORTER, type OrderResult, runIn, traceCell } from "./run.js";
import { hasRace, type Scenario, type ScenarioCell } from "./scenario/scenario.js";
import { sameVerdict } from "./scenario/verdict-text.js";
import { exporterKinds, importerKinds } from "./world/kinds.js";
import type { Cast } from "./world/stage.js";

const NOT_POSTED: Verdict = { verdict: "NA" };

export class Cell {
  readonly #scenario: Scenario;
  readonly #column: Column;
  readonly #bind: () => Binding;
  readonly #others: () => Iterable<Cell>;
  readonly #orders: Orders;
  readonly #expected: ScenarioCell | null;
  readonly #played = new Map<Cast, Played>();

  /** @param others the same scenario under other contracts, to see whether they serve; asked only where this one does not */
  constructor(
    scenario: Scenario,
    column: Column,
    binding: Binding | (() => Binding),
    others: () => Iterable<Cell> = () => [],
    orders: Orders = "default",
  ) {
    this.#orders = orders;
    this.#others = others;
    this.#scenario = scenario;
    this.#column = column;
    this.#bind = typeof binding === "function" ? binding : () => binding;
    this.#expected = scenario.cells[column.contract.id] ?? null;
  }

  /** Runs the conforming pair, if nobody has. */
  play(): void {
    this.#play(CONFORMING);
  }

  result(): Result {
    const scenario = this.#scenario;
    const conforming = this.#play(CONFORMING);
    const posted = this.#posted();
    const found = {
      asPosted: posted?.verdict ?? NOT_POSTED,
      conforming: conforming.verdict,
      blame: blame(
        { contract: this.#column.contract, fault: scenario.fault, posted, conforming },
        this.#counterfactuals(),
      ),
    };
    return {
      ...described(scenario),
      contract: this.#column.contract.id,
      topology: this.#binding.where,
      binding: this.#binding.text,
      ...found,
      implementation: this.#expected?.implementation ?? null,
      basis: this.#basis,
      rule: conforming.rule,
      postedRule: posted?.rule ?? null,
      ...this.#unknown(conforming),
      expected: this.#expected,
      ...(this.#expected?.contested ? { contested: this.#expected.contested } : {}),
      asExpected: !this.#expected || isAsExpected(found, this.#expected),
      ...(hasRace(scenario) && conforming.schedules ? { schedules: conforming.schedules } : {}),
    };
  }

  /** The worst and shortest order of a run; `null`: nobody plays it. */
  trace(run: "conforming" | "asPosted"): Pick<Explanation, "replayToken" | "trace" | "evidence"> | null {
    const cast = run === "asPosted" ? AS_POSTED : CONFORMING;
    const worst = (run === "asPosted" ? this.#posted() : this.#play(CONFORMING))?.worst;
    if (!worst) return null;
    const options = { ...this.#options(cast), scenario: worst.scenario };
    const { trace, ways } = traceCell(options, worst.token);
    return { replayToken: worst.token, trace, evidence: evidenceOf(this.#binding, ways) };
  }

  /** Does it serve, by dma-buf? */
  serves(): boolean {
    const { policy } = this.#column.contract;
    return policy.backing.some((call) => call !== "mmap") && this.#play(CONFORMING).verdict.verdict === "OK";
  }

  /** Of a column of somebody's nobody expects anything; what runs on a platform model rests on that model all the same. */
  get #basis(): Basis {
    if (this.#expected) return this.#expected.basis;
    const nearest = this.#scenario.cells[this.#column.like ?? ""]?.basis;
    return nearest === "platform, unverified" ? nearest : "derived";
  }

  #counterfactuals(): Counterfactuals {
    return {
      withGoodExporter: () => this.#withGoodExporter(),
      onCalmPlatform: () => this.#onCalmPlatform(),
      otherContractServes: () => [...this.#others()].some((other) => other.serves()),
    };
  }

  /** Worse than the conforming pair is not the same, whatever other orders end in. */
  #withGoodExporter(): Verdict {
    const { verdict } = this.#play(CONFORMING);
    return playAll({ ...this.#options(GOOD_EXPORTER), ...this.#decidedAt(badness(verdict) + 1) }).verdict;
  }

  /** As bad as here is no better, whatever other orders end in. */
  #onCalmPlatform(): Verdict {
    const scenario = onCalmPlatform(this.#scenario);
    const { verdict } = this.#play(CONFORMING);
    const options = { ...this.#options(CONFORMING), scenario, binding: bind(scenario, null) };
    return playAll({ ...options, ...this.#decidedAt(badness(verdict)) }).verdict;
  }

  /** Readings are compared with each other: then every order counts. */
  #decidedAt(decidedAt: number): Pick<CellOptions, "decidedAt"> {
    return this.#scenario.readings.length === 0 ? { decidedAt } : {};
  }

  /** The conforming pair once more, in an order of somebody's choice; `null`: nobody plays it. */
  again(strategy: Strategy): OrderResult | null {
    const worst = this.#play(CONFORMING).worst;
    return worst && runIn(strategy, { ...this.#options(CONFORMING), scenario: worst.scenario });
  }

  #posted(): Played | null {
    return this.#expected?.implementation ? this.#play(AS_POSTED) : null;
  }

  #play(cast: Cast): Played {
    const known = this.#played.get(cast);
    if (known) return known;
    const played = playAll(this.#options(cast));
    this.#played.set(cast, played);
    return played;
  }

  /** Where the answer hangs on what the hardware forwards, and nobody knows: the other answer. */
  #unknown(conforming: Played): Pick<Result, "unknown"> {
    if (this.#scenario.topology.forwards !== "unknown" || !conforming.forwardsAsked) return {};
    const otherwise = playAll({ ...this.#options(CONFORMING), forwards: false }).verdict;
    if (sameVerdict(otherwise, conforming.verdict)) return {};
    return { unknown: { assumed: "the root complex forwards peer requests", otherwise } };
  }

  get #binding(): Binding {
    return this.#bind();
  }

  #options(cast: Cast): CellOptions {
    const forwards = this.#scenario.topology.forwards !== "no";
    return {
      scenario: this.#scenario,
      column: this.#column,
      binding: this.#binding,
      cast,
      forwards,
      orders: this.#orders,
    };
  }
}

/** What a result says of the scenario alone. */
export function described({ id, title, exporter, importers, fault }: Scenario) {
  const packages = [exporterKinds[exporter.kind], ...importers.map((i) => importerKinds[i.kind])];
  return {
    scenario: id,
    title,
    exporter: exporter.kind,
    importer: importers.map((i) => i.name).join(", "),
    importerClass: importers[0]?.class ?? "",
    packages: [...new Set(packages.flatMap((kind) => (kind?.package ? [kind.package] : [])))],
    fault,
  };
}

function isAsExpected(found: Pick<Result, "asPosted" | "conforming" | "blame">, expected: ScenarioCell): boolean {
  return (
    sameVerdict(found.asPosted, expected.asPosted) &&
    sameVerdict(found.conforming, expected.conforming) &&
    found.blame === expected.blame
  );
}
