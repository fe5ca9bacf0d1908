// Scatter lists of a million segments, four of which always follow each other, against C's chained scatter list.
import { ScatterList } from "@dma-buf/scatterlist";

const SEGMENTS = 1_000_000;
const PASSES = 4;
const C_BYTES = 32;

function build(n) {
  const list = new ScatterList({ kind: "dma" }, { capacity: n });
  for (let i = 0; i < n; i++) list.append(0x1_0000_0000 + (i + (i >>> 2)) * 4096, 4096);
  return list;
}

function iterate({ addresses, sizes }) {
  let sum = 0;
  for (let i = 0; i < addresses.length; i++) sum += addresses[i] + sizes[i];
  return sum;
}

/** @returns rows, and the bytes a segment takes, which is measured once and not timed */
export function scatterlist(native) {
  const before = process.memoryUsage().arrayBuffers;
  const list = build(SEGMENTS);
  const bytes = Math.round((10 * (process.memoryUsage().arrayBuffers - before)) / SEGMENTS) / 10;
  const counted = [
    {
      name: `${SEGMENTS} segments, memory`,
      baselineName: "C's chained list",
      each: `${bytes} B`,
      ratio: bytes / C_BYTES,
      goal: 0.5,
    },
  ];
  if (!native) return { rows: [], counted };
  native.segments_keep(SEGMENTS);
  const merged = native.segments_coalesce(SEGMENTS);
  if (list.coalesce().length !== merged || iterate(list) !== native.segments_iterate(SEGMENTS))
    throw new Error("the list and C's do not hold the same");
  const row = (name, goal, baseline, candidate) => ({
    name: `${SEGMENTS} segments, ${name}`,
    unit: "segment",
    baselineName: "C's chained list",
    goal,
    n: PASSES * SEGMENTS,
    baseline: () => times(PASSES, () => baseline(SEGMENTS)),
    candidate: () => times(PASSES, candidate),
  });
  const rows = [
    row("build", 1.2, native.segments_build, () => build(SEGMENTS).length),
    row("iterate", 1, native.segments_iterate, () => iterate(list)),
    row("coalesce to a quarter", undefined, native.segments_coalesce, () => list.coalesce().length),
  ];
  return { rows, counted };
}

function times(n, act) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += act();
  return sum;
}
