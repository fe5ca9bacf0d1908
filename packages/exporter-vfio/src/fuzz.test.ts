/**
 * Whatever is done to two devices, in whatever order, with memory that fails and importers that break their promises:
 * there are errnos and findings and nothing else, a hang has a name, nothing is served from memory that is gone, and
 * nothing is left when everybody gave back what they have.
 */
import {
  annotatedAddress,
  BugSignal,
  type Contract,
  dmaAddress,
  linux73,
  type Op,
  pfn,
  pfnLocked,
  type RunEnd,
  seeded,
  vma,
} from "@dma-buf/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { vfioExporter as annotatedAddressExporter } from "./annotated-address.js";
import { vfioExporter as dmaAddressExporter } from "./dma-address.js";
import { type Act, ACTS, live } from "./testing/fuzz-acts.js";
import { HABITS } from "./testing/fuzz-importer.js";
import { FuzzWorld, type Route } from "./testing/fuzz-world.js";
import { vfioExporter as linux73Exporter } from "./linux-7.3.js";
import { vfioExporter as pfnLockedExporter } from "./pfn-locked.js";
import { vfioExporter as pfnExporter } from "./pfn.js";
import type { VfioFactory } from "./variant.js";
import { vfioExporter as vmaExporter } from "./vma.js";

const VARIANTS: Readonly<Record<string, readonly [VfioFactory, Contract, boolean]>> = {
  "dma-address": [dmaAddressExporter, dmaAddress, false],
  "dma-address, as posted": [dmaAddressExporter, dmaAddress, true],
  vma: [vmaExporter, vma, false],
  pfn: [pfnExporter, pfn, false],
  "pfn, as posted": [pfnExporter, pfn, true],
  "pfn-locked": [pfnLockedExporter, pfnLocked, false],
  "annotated-address": [annotatedAddressExporter, annotatedAddress, false],
  "linux-7.3": [linux73Exporter, linux73, false],
  "linux-7.3, as posted": [linux73Exporter, linux73, true],
};
/** Two buffers, and somebody at each. */
const START: readonly Act[] = [0, 1].flatMap(
  (n) =>
    [
      ["export", n],
      ["attach", n + 1],
      ["use", n],
    ] as const,
);

// What does most is done most.
const act = fc.tuple(fc.constantFrom(...Object.keys(ACTS), "export", "attach", "use", "use"), fc.nat({ max: 11 }));
const program = fc.record({
  variant: fc.constantFrom(...Object.keys(VARIANTS)),
  seed: fc.nat(),
  route: fc.constantFrom<Route>("bus-address", "through-host-bridge", "through-host-bridge", "not-supported"),
  habit: fc.constantFrom("zaps", "zaps", "fences", ...HABITS),
  /** Each so many-th allocation fails; 0: none. */
  failing: fc.constantFrom(0, 0, 5, 3),
  tasks: fc.array(fc.array(act, { minLength: 1, maxLength: 9, size: "max" }), {
    minLength: 1,
    maxLength: 4,
    size: "max",
  }),
});
type Program = typeof program extends fc.Arbitrary<infer T> ? T : never;

it("any acts in any order: served, refused or named, and nothing is left", { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(program, (p) => {
      expect(play(p)).toEqual([]);
    }),
    { numRuns: 400 },
  );
});

function play(p: Program): string[] {
  const [factory, contract, asPosted] = VARIANTS[p.variant] as readonly [VfioFactory, Contract, boolean];
  const w = new FuzzWorld(seeded(p.seed), [factory, contract, asPosted], p.habit, p.route);
  const isGood = p.habit === "zaps" || p.habit === "fences";
  let allocations = 0;
  w.allocFails = () => p.failing > 0 && ++allocations % p.failing === 0;
  w.scheduler.complete("before", live(w, START));
  const tasks = p.tasks.map((acts, i) => w.scheduler.spawn(`task ${i}`, live(w, acts)));
  const end = w.scheduler.run();
  if (isGood && end.kind !== "done") w.wrong.push(`all behave, and it ends in a ${end.kind}`);
  w.wrong.push(...unnamed(end));
  for (const { error } of tasks)
    if (error && !(error instanceof BugSignal && (p.habit === "oopses" || asPosted)))
      w.wrong.push((error as Error).message);
  w.allocFails = () => false;
  w.importer.behaves = true;
  tearDown(w, end.kind === "done", asPosted ? ["sgTables"] : []);
  for (const { party, level, message } of w.fw.findings)
    if ((party === "exporter" && !asPosted) || (party === "importer" && isGood && level !== "warn"))
      w.wrong.push(`blamed: ${party}, ${message}`);
  const served = isGood ? p.habit === "zaps" || !asPosted || contract.base !== "6.13" : false;
  const waits = contract.policy.drain.includes("unmap") && p.habit !== "oopses";
  return served || waits ? w.wrong : w.wrong.filter((what) => !what.startsWith("STALE"));
}

function unnamed(end: RunEnd): string[] {
  const waits = end.kind === "done" ? [] : end.waits;
  return waits.map((of) => of.blockedOn).filter((what) => !/held for .* by|held by|unmap by|fence/.test(what));
}

/** Everybody gives back what they have, now that nothing fails. Who was ended in the middle of that may have left some. */
function tearDown(w: FuzzWorld, isWhole: boolean, leaks: readonly string[]): void {
  const back = (name: string, op: Op<unknown>): void => {
    try {
      w.scheduler.complete(name, op);
    } catch (error) {
      w.wrong.push(`${name} at the end: ${String(error)}`);
    }
  };
  for (const { exporter } of w.members) {
    const lock = exporter.tryLockMemory("free?");
    if (lock) back("unlock", lock.end());
    else w.wrong.push(`memory_lock of ${exporter.name} is held`);
  }
  for (const use of w.importer.uses) back("leave", w.importer.leave(use));
  for (const area of w.areas) back("munmap", w.fw.munmap(area));
  for (const buf of w.bufs) back("put", w.fw.put(buf));
  for (const { exporter, closed } of w.members) {
    if (!closed) back("close", exporter.close());
    if (isWhole) back("unregister", exporter.unregister());
  }
  const ledgers = [w.fw.ledger, { dma: w.peer.liveMappings }, ...w.members.map((m) => m.exporter.ledger)];
  for (const [what, n] of ledgers.flatMap((ledger) => Object.entries(ledger)))
    if (isWhole && n !== 0 && !leaks.includes(what)) w.wrong.push(`left: ${n} ${what}`);
}
