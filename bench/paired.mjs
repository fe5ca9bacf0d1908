// Ratios that survive a noisy machine. Every repetition runs baseline, candidate, baseline back to back in this process
// and compares the candidate with the mean of its two neighbours; the median of the repetitions is the answer.
// No benchmark library that we found interleaves: they time one candidate after the other, and on a shared host the
// drift between the two is larger than what is to be measured.

const TARGET_MS = 100;

/**
 * A row: `baseline(n)` and `candidate(n)` do the same work `n` times and return a number, so that nothing is optimised
 * away. Both may be async.
 * @typedef {{ name: string, unit: string, baselineName: string, goal?: number, n?: number, baselinePart?: number,
 *   baseline: (n: number) => number | Promise<number>, candidate: (n: number) => number | Promise<number> }} Row
 */

/** @param {Row} row */
export async function measure(row, repetitions) {
  const n = row.n ?? (await calibrate(row));
  // A baseline that is a hundred times slower need not do all of it.
  const part = row.baselinePart ?? 1;
  const warmUps = repetitions === 1 ? 0 : 4;
  const [ratios, nanoseconds] = [[], []];
  for (let i = -warmUps; i < repetitions; i++) {
    const before = await time(row.baseline, n * part);
    const candidate = await time(row.candidate, n);
    const after = await time(row.baseline, n * part);
    if (i < 0) continue;
    ratios.push(candidate / ((before + after) / 2 / part));
    nanoseconds.push((candidate * 1e6) / n);
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
async function calibrate({ candidate }) {
  for (let n = 1; ; n *= 4) {
    const took = await time(candidate, n);
    if (took > TARGET_MS / 4) return Math.ceil((n * TARGET_MS) / took);
  }
}

let sink = 0;
async function time(act, n) {
  globalThis.gc?.();
  const began = performance.now();
  const result = act(n);
  sink += typeof result === "number" ? result : await result;
  if (Number.isNaN(sink)) throw new Error("a benchmark returned no number");
  return performance.now() - began;
}

function quantile(values, q) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.round(q * (sorted.length - 1))];
}
