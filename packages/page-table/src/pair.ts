/** A page table and the oracle, step by step side by side: what the laws of this package are held against. */
import { DmaBufError } from "@dma-buf/core";
import fc from "fast-check";
import type { Format, Protection } from "./format.js";
import type { PageTableOptions } from "./page-table.js";
import { isSame, kit, type Kit, Oracle, phys, RO, RW, walked } from "./testing.js";

const K4 = 0x1000;

export type Op =
  | { readonly do: "map"; page: number; pages: number; frame: number; protection: Protection }
  | { readonly do: "unmap"; page: number; pages: number }
  | { readonly do: "protect"; page: number; pages: number; protection: Protection }
  | { readonly do: "split"; page: number; log2: number }
  | { readonly do: "access"; page: number; access: "read" | "write" }
  | { readonly do: "sweep"; page: number; pages: number; clear: boolean; which: "dirty" | "accessed" };

/** Addresses close together, so that operations meet, around 0, around 1 GiB, and where AMD's root must grow. */
export const page: fc.Arbitrary<number> = fc
  .tuple(fc.constantFrom(0, 2 ** 18 - 1024, 2 ** 27 - 512), fc.integer({ min: 0, max: 2048 }))
  .map(([base, n]) => base + n);
export const pages: fc.Arbitrary<number> = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.constantFrom(512, 1024, 1536));
/** Ranges that large leaves fit, of 1 GiB or of 2 MiB each. */
const large = fc.record({
  do: fc.constant("map" as const),
  page: fc.constantFrom(0, 2 ** 18, 2 ** 27),
  pages: fc.constantFrom(2 ** 18, 2 ** 10),
  frame: fc.constantFrom(2 ** 18, 2 ** 20 + 512),
  protection: fc.constant(RW),
});
const protection = fc.constantFrom<Protection>(
  RW,
  RO,
  { ...RW, execute: false },
  { ...RO, cache: "wb" },
  { ...RW, cache: "uc" },
);
export const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("map" as const), page, pages, frame: page, protection }) },
  large,
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("unmap" as const), page, pages: fc.oneof(pages, fc.constant(2 ** 18)) }),
  },
  fc.record({ do: fc.constant("protect" as const), page, pages, protection }),
  fc.record({ do: fc.constant("split" as const), page, log2: fc.constantFrom(12, 14, 21, 22) }),
  fc.record({ do: fc.constant("access" as const), page, access: fc.constantFrom("read" as const, "write" as const) }),
  fc.record({
    do: fc.constant("sweep" as const),
    page,
    pages,
    clear: fc.boolean(),
    which: fc.constantFrom("dirty" as const, "accessed" as const),
  }),
);

/** What a side answers: an errno, pages that are gone, a byte that was reached, leaves that were touched. */
type Answer = string | number | readonly number[];

/** A page table and the oracle, step by step side by side. */
export class Pair {
  readonly kit: Kit;
  readonly oracle: Oracle;
  readonly #format: Format;

  constructor(format: Format, options: PageTableOptions = {}) {
    this.#format = format;
    this.kit = kit(format, 256, options);
    this.oracle = new Oracle(format);
  }

  /** Does it on both sides. `isKept`: if the page table refused, its memory is as before. */
  step(todo: Op): { readonly got: Answer; readonly expected: Answer; readonly isKept: boolean } {
    const before = this.kit.memory.words.slice();
    try {
      return { got: this.#ask(todo), expected: this.#expect(todo), isKept: true };
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      const isKept = isSame(this.kit.memory.words, before);
      return { got: error.code, expected: this.#expect(todo), isKept };
    }
  }

  #ask(todo: Op): Answer {
    const { table } = this.kit;
    const [va, size] = [todo.page * K4, "pages" in todo ? todo.pages * K4 : 0];
    if (todo.do === "map") table.map(va, phys(todo.frame * K4), size, todo.protection);
    if (todo.do === "unmap") return table.unmap(va, size) / K4;
    if (todo.do === "protect") table.protect(va, size, todo.protection);
    if (todo.do === "split") table.split(va, 2 ** todo.log2);
    if (todo.do === "access") return walked(this.kit, va + 7, todo.access);
    if (todo.do === "sweep") {
      const { clear } = todo;
      const touched =
        todo.which === "dirty"
          ? table.readAndClearDirty(va, size, { clear })
          : table.readAndClearAccessed(va, size, { clear });
      return touched.map((t) => t.va / K4);
    }
    return "ok";
  }

  /** Does it to the oracle. */
  #expect(todo: Op): Answer {
    const { oracle } = this;
    if (todo.do === "map") {
      const noted = this.#noted(todo.protection);
      return oracle.map(todo.page, todo.frame, todo.pages, todo.protection, noted) ? "ok" : "EADDRINUSE";
    }
    if (todo.do === "unmap") return oracle.unmap(todo.page, todo.pages);
    if (todo.do === "protect") return oracle.protect(todo.page, todo.pages, todo.protection);
    if (todo.do === "split") {
      if (!this.#format.leafSizesLog2.includes(todo.log2)) return "EINVAL";
      // Through the asked size, and each level's own above it.
      const steps = [todo.log2, 21, 30, 39].filter((s) => s >= todo.log2).map((s) => 2 ** (s - 12));
      return oracle.split(todo.page, 2 ** (todo.log2 - 12), steps);
    }
    if (todo.do === "access") {
      const frame = oracle.access(todo.page, todo.access);
      return frame < 0 ? -1 : frame * K4 + 7;
    }
    if (this.#format[todo.which] === 0n) return "EOPNOTSUPP";
    return oracle.sweep(todo.page, todo.pages, todo.which, todo.clear);
  }

  /** What the format sets in a new leaf: Linux writes some as accessed and dirty. */
  #noted({ write }: Protection): { accessed: boolean; dirty: boolean } {
    const bits = this.#format.leafFlags({ level: 0, sizeLog2: 12 }, { read: true, write });
    return { accessed: (bits & this.#format.accessed) !== 0n, dirty: (bits & this.#format.dirty) !== 0n };
  }

  /** Every leaf on both sides: where, how large, what it allows, what hardware noted. */
  leaves(): { readonly got: unknown[]; readonly expected: unknown[] } {
    const { accessed: hasAccessed, dirty: hasDirty } = this.#format;
    const got = [...this.kit.table.leaves()].map((l) => [
      l.va / K4,
      l.physical / K4,
      l.sizeBytes / K4,
      l.protection.write,
      l.accessed,
      l.dirty,
    ]);
    const expected = this.oracle.leaves.map((l) => [
      l.page,
      l.frame,
      l.pages,
      l.protection.write,
      l.accessed && hasAccessed !== 0n,
      l.dirty && hasDirty !== 0n,
    ]);
    return { got, expected };
  }

  /** Pages around the leaves that the look-up, or the walk, finds elsewhere than the oracle. */
  wrongPages(): unknown[] {
    const { leaves } = this.oracle;
    const some = leaves.filter((_, i) => i < 6 || i > leaves.length - 6 || i % 97 === 0);
    const around = some.flatMap(({ page: at, pages: n }) => [at - 1, at, at + Math.floor(n / 2), at + n]);
    return around.filter((at) => at >= 0).flatMap((at) => this.#wrongPage(at));
  }

  #wrongPage(at: number): unknown[] {
    const leaf = this.oracle.at(at);
    const expected = leaf ? (leaf.frame + at - leaf.page) * K4 + 5 : -1;
    const { table } = this.kit;
    const hit = table.translate(at * K4 + 5, "read");
    const found = [table.lookup(at * K4 + 5), hit.kind === "hit" ? hit.physical : -1];
    return found.every((n) => n === expected) ? [] : [{ at, found, expected }];
  }
}
