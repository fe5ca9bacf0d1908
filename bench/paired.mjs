// Ratios that survive a noisy machine. Every repetition runs baseline, candidate, baseline back to back in this process
// and compares the candidate with the mean of its two neighbours; the median of the repetitions is the answer.
// No benchmark library that we found interleaves: they time one candidate after the other, and on a shared host the
// drift between the two is larger than what is to be measured.

const TARGET_MS = 100;

/**
 * A row: `baseline(n)` and `candidate(n)` do the same work `n` times and return a number, so that nothing is optimised
 * away. Both may be async.
 *
 * What leaves something behind is taken back untimed: `setup` runs once before the first timing, `baselineReset` and
 * `candidateReset` after each timing of their side. Where `n` is all that can be done before a reset and too little for
 * the clock, a timing is the sum of so many `rounds`.
 * @typedef {{ name: string, unit: string, baselineName: string, goal?: number, n?: number, baselinePart?: number,
 *   rounds?: number, setup?: () => void, baselineReset?: () => void, candidateReset?: () => void,
 *   baseline: (n: number) => number | Promise<number>, candidate: (n: number) => number | Promise<number> }} Row
 */

/** @param {Row} row */
export async function measure(row, repetitions) {
  row.setup?.();
  const n = row.n ?? (await calibrate(row));
  // A baseline that is a hundred times slower need not do all of it.
  const part = row.baselinePart ?? 1;
  const warmUps = repetitions === 1 ? 0 : 4;
  const timeBaseline = () => time(row.baseline, n * part, row.baselineReset, row.rounds);
  const [ratios, nanoseconds] = [[], []];
  for (let i = -warmUps; i < repetitions; i++) {
    const before = await timeBaseline();
    const candidate = await time(row.candidate, n, row.candidateReset, row.rounds);
    const after = await timeBaseline();
    if (i < 0) continue;
    ratios.push(candidate / ((before + after) / 2 / part));
    nanoseconds.push((candidate * 1e6) / n / (row.rounds ?? 1));
  }
  return {
    ...row,
    ratio: quantile(ratios, 0.5),
    low: quantile(ratios, 0.25),
    high: quantile(ratios, 0.75),
    each: quantile(nanoseconds, 0.5),
  };
}

/** How often until a candidate takes long enough for the clock. */
async function calibrate({ candidate, candidateReset }) {
  for (let n = 1; ; n *= 4) {
    const took = await time(candidate, n, candidateReset);
    if (took > TARGET_MS / 4) return Math.ceil((n * TARGET_MS) / took);
  }
}

let sink = 0;
async function time(act, n, reset, rounds = 1) {
  globalThis.gc?.();
  let took = 0;
  for (let round = 0; round < rounds; round++) {
    const began = performance.now();
    const result = act(n);
    sink += typeof result === "number" ? result : await result;
    took += performance.now() - began;
    if (Number.isNaN(sink)) throw new Error("a benchmark returned no number");
    reset?.();
  }
  return took;
}

function quantile(values, q) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.round(q * (sorted.length - 1))];
}
