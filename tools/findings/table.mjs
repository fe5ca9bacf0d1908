// The results, to be asked: who serves, who does not, and whose doing that is.

/** An access got where it must not. */
const BYTES = ["CORRUPT", "STALE", "DISCLOSE"];
/** Something stops, or is never given back. */
const SERVICE = ["RESLEAK", "CRASH", "HANG"];
/** Stopped before or at the access. */
const STOPPED = ["REFUSED", "FAULT", "NA"];

export class Table {
  constructor(results, contracts) {
    this.results = results;
    this.contracts = contracts;
    /** Injected faults say what a contract contains, and count apart. */
    this.questions = results.filter((r) => r.fault === null);
    this.faults = results.filter((r) => r.fault !== null);
  }

  of(contract) {
    return this.questions.filter((r) => r.contract === contract);
  }

  cell(contract, scenario) {
    return this.results.find((r) => r.contract === contract && r.scenario === scenario);
  }

  /** Questions that `by` serves, and `not` does not because of itself. */
  servedOnlyBy(by, not) {
    return this.of(by).filter((r) => r.conforming.verdict === "OK" && isContracts(this.cell(not, r.scenario)));
  }

  /** Scenarios, faults among them, whose conforming verdicts differ. */
  differing(a, b) {
    return this.results
      .filter((r) => r.contract === a)
      .map((r) => [r, this.cell(b, r.scenario)])
      .filter(([x, y]) => x.conforming.verdict !== y.conforming.verdict || x.conforming.stage !== y.conforming.stage);
  }
}

/** Bad, and the contract's own doing. */
export function isContracts({ conforming, blame }) {
  return conforming.verdict !== "OK" && conforming.verdict !== "NA" && blame === "contract";
}

export function reachesBytes({ conforming }) {
  return BYTES.includes(conforming.verdict);
}

export function isOutOfService({ conforming }) {
  return SERVICE.includes(conforming.verdict);
}

export function isUnsafe(result) {
  return reachesBytes(result) || isOutOfService(result);
}

export function isStopped({ conforming }) {
  return STOPPED.includes(conforming.verdict);
}

export function idsOf(results) {
  return [...new Set(results.map((r) => r.scenario))].join(", ");
}

/** `12 by kvm, 3 by nic`, the most first. */
export function byImporter(results) {
  const counts = new Map();
  for (const { importer } of results) {
    const [kind] = importer.split(", ");
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts]
    .toSorted((a, b) => b[1] - a[1])
    .map(([kind, n]) => `${n} by ${kind}`)
    .join(", ");
}
