// Page tables against what bounds them: C's loop of stores, which nothing that writes entries can beat, and a plain
// walk in C. Entries are VT-d's second stage where no other format is named; both peers write these.
import { amdV1, ept, formats, LeafWriter, SoftwareTlb, vtdSecondStage } from "@dma-buf/page-table";
import { GIB, must, PAGE, PHYSICAL, RW, Sides, TABLES_64_GIB } from "./page-table-sides.mjs";

const TABLE_ENTRIES = 512;
const WHOLE = 64 * GIB;
const LEAVES = WHOLE / PAGE;
const MI = 2 ** 20;

const storeLoop = ({ native }) => ({ baselineName: "C's store loop", baseline: native.pt_store_loop });

/** The row's `bytes` in leaves of one size, mapped by the plain walk. */
const mapInC = (sides, { bytes, leafLog2 }) => ({
  baselineName: "plain C walk",
  baseline: () => sides.mapInC(bytes, leafLog2),
  baselineReset: () => sides.unmapInC(bytes),
});

const unmapInC = (sides, { bytes, leafLog2 }) => ({
  baselineName: "plain C walk",
  baseline: () => sides.unmapInC(bytes),
  baselineReset: () => sides.mapInC(bytes, leafLog2),
});

const arrayFill = ({ entries }) => ({
  baselineName: "`Float64Array.fill`",
  baseline: () => entries.fill(1.5)[0],
});

/** Entries and nothing else: no walk, no tables to find. */
function leafFill(sides, format) {
  const { entries } = sides;
  const writer = new LeafWriter({ words: new Int32Array(entries.buffer), doubles: entries });
  const bits = format.leafFlags({ level: 0, sizeLog2: 12 }, RW) | BigInt(PHYSICAL);
  const [lo, hi] = [bits, bits >> 32n].map((half) => Number(BigInt.asIntN(32, half)));
  return {
    name: `leaf writer, ${format.title}: 16 Mi entries, a table at a time`,
    unit: "entry",
    goal: 1.4,
    n: entries.length,
    rounds: 4,
    ...storeLoop(sides),
    candidate(n) {
      writer.begin({ lo, hi, stride: PAGE, copies: 1 });
      for (let at = 0; at < n; at += TABLE_ENTRIES) writer.write(at, TABLE_ENTRIES);
      return n;
    },
  };
}

/** One call. `shape` says which leaves, where the first rows have 4 KiB each. */
function mapWhole(sides, peer, goal, shape = {}) {
  const {
    size = "64 GiB",
    leaf = "4 KiB",
    leafLog2 = 12,
    leaves = LEAVES,
    format = vtdSecondStage,
    rounds = 4,
  } = shape;
  const bytes = leaves * 2 ** leafLog2;
  return {
    name: `map ${size} in ${leaf} leaves${format === vtdSecondStage ? "" : `, ${format.title}`}`,
    unit: "leaf",
    goal,
    n: leaves,
    rounds,
    setup: () => sides.begin(leafLog2, format),
    ...peer(sides, { bytes, leafLog2 }),
    candidate: () => sides.map(bytes),
    candidateReset: () => sides.unmap(bytes),
  };
}

function unmapWhole(sides, peer, goal) {
  return {
    name: "unmap 64 GiB of 4 KiB leaves",
    unit: "leaf",
    goal,
    n: LEAVES,
    rounds: 4,
    setup: () => mapBoth(sides),
    ...peer(sides, { bytes: WHOLE, leafLog2: 12 }),
    candidate: () => sides.unmap(WHOLE),
    candidateReset: () => sides.map(WHOLE),
  };
}

function mapBoth(sides, bytes = WHOLE, leafLog2 = 12) {
  sides.begin(leafLog2);
  sides.map(bytes);
  if (sides.native) sides.mapInC(bytes, leafLog2);
}

/** Addresses `step` apart, in the order given. */
const addresses = (from, step, order) => Float64Array.from(order, (i) => from + i * step);
const ascending = (n) => Float64Array.from({ length: n }, (_, i) => i);

/** Marsaglia's xorshift: the same numbers in each run, from 0 to below `end`. */
function randomNumbers(seed) {
  let state = seed;
  return (end) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return Math.floor(((state >>> 0) / 2 ** 32) * end);
  };
}

function shuffled(n, seed) {
  const order = ascending(n);
  const random = randomNumbers(seed);
  for (let i = n - 1; i > 0; i--) {
    const j = random(i + 1);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

function mapPages(table, iovas, physicals) {
  for (let i = 0; i < iovas.length; i++) table.map(iovas[i], physicals[i], PAGE, RW);
  return iovas.length;
}

function mapRanges(table, iovas, physicals, sizes) {
  for (let i = 0; i < iovas.length; i++) table.map(iovas[i], physicals[i], sizes[i], RW);
  return iovas.length;
}

function unmapPages(table, iovas) {
  let bytes = 0;
  for (let i = 0; i < iovas.length; i++) bytes += table.unmap(iovas[i], PAGE);
  return bytes / PAGE;
}

/** A Mi of pages, each its own call on our side, while C gets all of them in one. */
function singlePages(sides, name, iovaOrder, physicalOrder) {
  const [iovas, physicals] = [addresses(0, PAGE, iovaOrder), addresses(PHYSICAL, PAGE, physicalOrder)];
  return {
    name,
    unit: "page",
    baselineName: "plain C walk",
    n: MI,
    setup: () => sides.begin(),
    baseline: (n) => must(sides.native.pt_map_each(iovas, physicals, n), n),
    baselineReset: () => sides.unmapInC(MI * PAGE),
    candidate: () => mapPages(sides.table, iovas, physicals),
    candidateReset: () => sides.unmap(MI * PAGE),
  };
}

function unmapSinglePages(sides) {
  const iovas = addresses(0, PAGE, ascending(MI));
  return {
    name: "unmap 1 Mi pages, a call each",
    unit: "page",
    baselineName: "plain C walk",
    n: MI,
    setup: () => mapBoth(sides, MI * PAGE),
    baseline: (n) => must(sides.native.pt_unmap_each(iovas, n), n),
    baselineReset: () => sides.mapInC(MI * PAGE),
    candidate: (n) => must(unmapPages(sides.table, iovas), n),
    candidateReset: () => sides.map(MI * PAGE),
  };
}

function ranges(sides, pages) {
  const calls = MI / pages;
  const [iovas, physicals] = [0, PHYSICAL].map((from) => addresses(from, pages * PAGE, ascending(calls)));
  const sizes = new Float64Array(calls).fill(pages * PAGE);
  return {
    name: `map 1 Mi pages, ${pages} a call`,
    unit: "page",
    baselineName: "plain C walk",
    n: MI,
    // Many, as the first one after a garbage collection pays for fresh memory.
    rounds: 16,
    setup: () => sides.begin(),
    baseline: () => must(sides.native.pt_map_ranges(iovas, physicals, sizes, calls), MI),
    baselineReset: () => sides.unmapInC(MI * PAGE),
    candidate: () => mapRanges(sides.table, iovas, physicals, sizes),
    candidateReset: () => sides.unmap(MI * PAGE),
  };
}

function sumInTable(table, iovas) {
  let sum = 0;
  for (let i = 0; i < iovas.length; i++) sum += table.lookup(iovas[i]);
  return sum;
}

/** The same once more: a loop that sees both kinds is inlined for neither. */
function sumInTlb(tlb, iovas) {
  let sum = 0;
  for (let i = 0; i < iovas.length; i++) sum += tlb.lookup(iovas[i]);
  return sum;
}

function lookups(sides, name, iovas) {
  const row = {
    name: `lookup, ${name}`,
    unit: "lookup",
    baselineName: "plain C walk",
    n: iovas.length,
    rounds: 4,
    setup() {
      mapBoth(sides);
      must(row.candidate(), row.baseline(iovas.length));
    },
    baseline: (n) => sides.native.pt_translate(iovas, n),
    candidate: () => sumInTable(sides.table, iovas),
  };
  return row;
}

function tlbLookups(sides, name, iovas) {
  let tlb;
  const row = {
    ...lookups(sides, `${name}, software TLB`, iovas),
    baselineName: "plain C walk, such a TLB",
    setup() {
      mapBoth(sides);
      tlb = new SoftwareTlb(sides.table);
      must(row.candidate(), row.baseline(iovas.length));
    },
    baseline: (n) => sides.native.pt_translate_tlb(iovas, n),
    candidate: () => sumInTlb(tlb, iovas),
  };
  return row;
}

function allLookups(sides) {
  const random = randomNumbers(3);
  const uniform = Float64Array.from({ length: MI }, () => random(WHOLE / 8) * 8);
  const pages = uniform.slice(0, 1024).map((iova) => iova - (iova % PAGE));
  const hot = Float64Array.from({ length: MI }, () => pages[random(1024)] + random(PAGE));
  return [
    lookups(sides, "1024 pages of 64 GiB again and again", hot),
    lookups(sides, "512 bytes further each time", addresses(0, 512, ascending(MI))),
    lookups(sides, "random in 64 GiB", uniform),
    tlbLookups(sides, "1024 pages of 64 GiB again and again", hot),
    tlbLookups(sides, "random in 64 GiB", uniform),
  ];
}

const FEW = 2 ** 12;

/** The same leaves of the same table in calls of `leaves` each. */
function mapInCalls(sides, total, leaves) {
  const bytes = leaves * PAGE;
  for (let va = 0; va < total * PAGE; va += bytes) sides.table.map(va, PHYSICAL + va, bytes, RW);
  return total;
}

function unmapInCalls(sides, total, leaves) {
  const bytes = leaves * PAGE;
  for (let va = 0; va < total * PAGE; va += bytes) must(sides.table.unmap(va, bytes), bytes);
  return total;
}

/** Linear: a leaf among many costs what it costs among few. */
function linear(sides, act, leaves, title, rounds) {
  const isMap = act === "map";
  const [run, reset] = isMap ? [mapInCalls, "unmap"] : [unmapInCalls, "map"];
  const undo = () => sides[reset](leaves * PAGE);
  return {
    name: `growth: ${act} ${title} leaves in one call`,
    unit: "leaf",
    baselineName: "as many, 4096 a call",
    n: leaves,
    rounds,
    setup() {
      sides.begin();
      if (!isMap) undo();
    },
    baseline: (n) => run(sides, n, FEW),
    baselineReset: undo,
    candidate: (n) => run(sides, n, n),
    candidateReset: undo,
  };
}

/** Leaves of 2^18, which fill 512 tables, are 1 GiB if they are 4 KiB, and all 48 bits if they are 1 GiB. */
const FLAT_LEAVES = 2 ** 18;

/** Flat: a leaf costs the same, whatever it covers. */
function flat(sides, leaf, leafLog2) {
  const bytes = FLAT_LEAVES * 2 ** leafLog2;
  // A page further than what larger leaves need, so that these are of 4 KiB.
  const small = PHYSICAL + PAGE;
  return {
    name: `growth: map 256 Ki leaves of ${leaf}`,
    unit: "leaf",
    baselineName: "as many leaves of 4 KiB",
    n: FLAT_LEAVES,
    rounds: 32,
    setup: () => sides.begin(leafLog2),
    baseline(n) {
      sides.table.map(0, small, n * PAGE, RW);
      return n;
    },
    baselineReset: () => sides.unmap(FLAT_LEAVES * PAGE),
    candidate: () => sides.map(bytes),
    candidateReset: () => sides.unmap(bytes),
  };
}

function growth(sides) {
  return [
    linear(sides, "map", 2 ** 18, "256 Ki", 16),
    linear(sides, "map", 2 ** 24, "16 Mi"),
    linear(sides, "unmap", 2 ** 18, "256 Ki", 16),
    linear(sides, "unmap", 2 ** 24, "16 Mi"),
    flat(sides, "2 MiB", 21),
    flat(sides, "1 GiB", 30),
  ];
}

/** Not timed: they are the same on every machine. */
function counted({ table, native }) {
  const { tables } = table;
  const bytes = (tables * PAGE) / LEAVES;
  const pages = (baselineName, expected) => ({
    name: "64 GiB in 4 KiB leaves, table pages",
    baselineName,
    ratio: tables / expected,
    goal: 1,
    each: `${tables} pages`,
  });
  return [
    pages("512 entries of each level a page", TABLES_64_GIB),
    ...(native ? [pages("plain C walk", native.pt_tables())] : []),
    {
      name: "64 GiB in 4 KiB leaves, memory of tables",
      baselineName: "8 bytes a leaf",
      ratio: bytes / 8,
      // 8.02 bytes.
      goal: 1.0025,
      each: `${bytes.toFixed(2)} B per leaf`,
    },
  ];
}

function againstC(sides) {
  const others = formats.filter((format) => format !== vtdSecondStage);
  const [inOrder, mixed, mixedOtherwise] = [ascending(MI), shuffled(MI, 1), shuffled(MI, 2)];
  return [
    ...[vtdSecondStage, amdV1, ept].map((format) => leafFill(sides, format)),
    mapWhole(sides, storeLoop, 1.8),
    mapWhole(sides, mapInC, 1),
    mapWhole(sides, arrayFill),
    unmapWhole(sides, storeLoop, 1.8),
    unmapWhole(sides, unmapInC, 1),
    ...others.map((format) => mapWhole(sides, storeLoop, 1.8, { format })),
    singlePages(sides, "map 1 Mi pages, a call each", inOrder, inOrder),
    unmapSinglePages(sides),
    singlePages(sides, "map 1 Mi pages, a call each, physical addresses shuffled", inOrder, mixed),
    singlePages(sides, "map 1 Mi pages, a call each, both addresses shuffled", mixedOtherwise, mixed),
    ...[2, 8, 64, 512, 4096].map((pages) => ranges(sides, pages)),
    mapWhole(sides, mapInC, undefined, { size: "1 TiB", leaf: "2 MiB", leafLog2: 21, leaves: 2 ** 19, rounds: 16 }),
    mapWhole(sides, mapInC, undefined, { size: "64 TiB", leaf: "1 GiB", leafLog2: 30, leaves: 2 ** 16, rounds: 64 }),
    ...allLookups(sides),
  ];
}

/** @returns rows, and what is counted once and not timed */
export function pageTable(native) {
  const sides = new Sides(native);
  mapBoth(sides);
  const counts = counted(sides);
  if (native) checkEntries(sides);
  const rows = native ? againstC(sides) : [mapWhole(sides, arrayFill)];
  return { rows: [...rows, ...growth(sides)], counted: counts };
}

function checkEntries(sides) {
  sides.check(WHOLE);
  for (const leafLog2 of [21, 30]) {
    mapBoth(sides, 2 ** leafLog2 * 1024, leafLog2);
    sides.check(2 ** leafLog2 * 1024);
  }
}
