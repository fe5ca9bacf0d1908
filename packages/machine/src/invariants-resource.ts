/** The invariants of what is taken and given back: refusals, mappings, counts, revokes, and when an error comes. */
import { hex } from "@dma-buf/core";
import type { Breach } from "./invariants-access.js";
import type { Evidence, MappedRanges, PhysRange, SurfaceStage } from "./invariants-evidence.js";
import { type Counts, differences } from "./ledger.js";

/** A cache is not given back: it is flushed, and what it says after that is another invariant's. */
const CACHES: ReadonlySet<string> = new Set(["tlbEntries", "iotlbEntries", "atcEntries"]);

/** Stages of one import in order; those that come together are equal. Not listed: of no import. */
const ORDER: Readonly<Partial<Record<SurfaceStage, number>>> = {
  export: 0,
  memslot: 1,
  attach: 1,
  pin: 2,
  map: 2,
  query: 3,
  mmap: 3,
  "vcpu-run": 4,
  guest: 4,
  "cpu-access": 4,
  access: 5,
};

/** I4. */
export function* refusedLeavesState({ refused }: Evidence): Iterable<Breach> {
  for (const { op, by, code, before, after, step } of refused) {
    const left = changes(before, after);
    if (code !== null && left)
      yield { what: `${op} was refused with ${code ?? "no errno"} and left ${left} behind`, step, actor: by };
  }
}

/** I5. */
export function* mappedOutside({ mapped }: Evidence): Iterable<Breach> {
  for (const mapping of mapped) {
    for (const range of mapping.mapped)
      if (!covered(range, mapping.exported)) yield breach(mapping, range, "is not in what was exported");
    const ascending = mapping.mapped.toSorted((a, b) => a.base - b.base);
    let end = -Infinity;
    for (const range of ascending) {
      if (range.base < end) yield breach(mapping, range, "is mapped twice");
      end = Math.max(end, range.base + range.sizeBytes);
    }
  }
}

/** I7. */
export function* notGivenBack({ turns, books }: Evidence): Iterable<Breach> {
  const out = new Map<string, number>();
  for (const { kind, id, by, change, step } of turns) {
    const key = `${kind} ${id}`;
    const left = (out.get(key) ?? 0) + change;
    if (left < 0) yield { what: `${by} gave back ${key} once more than it was taken`, step, actor: by };
    out.set(key, Math.max(left, 0));
  }
  for (const [key, n] of out) {
    const last = turns.findLast((t) => `${t.kind} ${t.id}` === key);
    if (n > 0 && last) yield { what: `${key} was never given back`, step: last.step, actor: last.by };
  }
  const left = books && changes(books.before, books.after);
  if (left) yield { what: `from beginning to end, what is out changed by ${left}`, step: books.step, actor: "machine" };
}

/** I8. */
export function* neverDrained({ revocations }: Evidence): Iterable<Breach> {
  for (const { name, began, drained, promiseBroken } of revocations)
    if (!drained && promiseBroken === null)
      yield {
        what: `the revoke of ${name} never ended, and no importer broke its promise`,
        step: began.step,
        actor: name,
      };
}

/** I10. */
export function* surfacedLate({ refused }: Evidence): Iterable<Breach> {
  for (const { op, by, surfaced, known, step } of refused) {
    if (known === null) continue;
    if ((ORDER[surfaced] ?? -1) > (ORDER[known] ?? Infinity))
      yield { what: `${op} failed at ${surfaced}, and why was known at ${known}`, step, actor: by };
  }
}

function changes(before: Counts, after: Counts): string {
  return differences(before, after)
    .filter((d) => !CACHES.has(d.kind))
    .map(({ kind, before: was, after: is }) => `${is > was ? "+" : ""}${is - was} ${kind}`)
    .join(", ");
}

/** Is every byte of the range in one of the exported ones? Those may follow one another. */
function covered(range: PhysRange, exported: readonly PhysRange[]): boolean {
  const end = range.base + range.sizeBytes;
  let at = range.base;
  for (;;) {
    const here = exported.find((e) => e.base <= at && at < e.base + e.sizeBytes);
    if (!here) return false;
    at = here.base + here.sizeBytes;
    if (at >= end) return true;
  }
}

function breach({ by, step }: MappedRanges, { base, sizeBytes }: PhysRange, why: string): Breach {
  return { what: `${by} maps ${sizeBytes} bytes at ${hex(base)}: a part of that ${why}`, step, actor: by };
}
