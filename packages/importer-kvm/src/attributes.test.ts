/** `KVM_SET_MEMORY_ATTRIBUTES`: what is refused, and private and shared frames against a flag for every page. */
import { errnoOf, refusal } from "@dma-buf/config/refusal";
import { DmaBufError } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkAttributes, MemoryAttributes, setMemoryAttributes } from "./attributes.js";
import { KVM_MEMORY_ATTRIBUTE, type MemoryAttributesRequest } from "./uapi.js";

const { PRIVATE } = KVM_MEMORY_ATTRIBUTE;
const of = (change: Partial<MemoryAttributesRequest> = {}): MemoryAttributesRequest => ({
  address: 0x1000n,
  size: 0x2000n,
  attributes: PRIVATE,
  flags: 0n,
  ...change,
});
const VM = { privateMemory: true };

describe("row by row", () => {
  it.each<[string, MemoryAttributesRequest, string, boolean?]>([
    ["private", of(), "ok"],
    ["shared", of({ attributes: 0n }), "ok"],
    ["shared, in a VM without private memory", of({ attributes: 0n }), "ok", false],
    ["flags", of({ flags: 1n }), "EINVAL@memslot"],
    ["an attribute that is none", of({ attributes: 1n }), "EINVAL@memslot"],
    ["one beside PRIVATE", of({ attributes: PRIVATE | 16n }), "EINVAL@memslot"],
    ["PRIVATE in a VM without private memory", of(), "EINVAL@memslot", false],
    ["empty", of({ size: 0n }), "EINVAL@memslot"],
    ["ends at 2^64", of({ address: 2n ** 64n - 0x2000n }), "EINVAL@memslot"],
    ["a page before that", of({ address: 2n ** 64n - 0x3000n }), "ok"],
    ["an address below 0", of({ address: -4096n }), "EINVAL@memslot"],
    ["a size below 0", of({ size: -4096n }), "EINVAL@memslot"],
    ["an unaligned address", of({ address: 1n }), "EINVAL@memslot"],
    ["an unaligned size", of({ size: 0x1001n }), "EINVAL@memslot"],
  ])("%s", (_name, request, expected, privateMemory = true) => {
    expect(refusal(() => checkAttributes(request, { privateMemory }))).toBe(expected);
  });

  it.each<[string, Partial<MemoryAttributesRequest>, RegExp]>([
    ["flags before attributes", { flags: 1n, attributes: 1n }, /flags/],
    ["attributes before the range", { attributes: 1n, size: 0n }, /knows/],
    ["empty before aligned", { size: 0n, address: 1n }, /empty/],
  ])("the order: %s", (_name, change, message) => {
    expect(() => checkAttributes(of(change), VM)).toThrow(message);
  });

  it("frames are exact, however large the address was", () => {
    expect(checkAttributes(of({ address: 2n ** 64n - 0x3000n }), VM)).toEqual({
      start: 2 ** 52 - 3,
      end: 2 ** 52 - 1,
      isPrivate: true,
    });
  });
});

const PAGES = 64;
const CHANGE = fc.record({
  at: fc.nat({ max: PAGES - 1 }),
  n: fc.integer({ min: 1, max: PAGES }),
  isPrivate: fc.boolean(),
});
type Change = { at: number; n: number; isPrivate: boolean };
const rangeOf = ({ at, n, isPrivate }: Change) => ({ start: at, end: Math.min(at + n, PAGES), isPrivate });

/** The same with a flag for every page. */
function brute(changes: readonly Change[]): readonly boolean[] {
  const pages = Array.from({ length: PAGES }, () => false);
  for (const change of changes) {
    const { start, end, isPrivate } = rangeOf(change);
    pages.fill(isPrivate, start, end);
  }
  return pages;
}

it("ranges say of every page what a flag for every page says", () => {
  fc.assert(
    fc.property(fc.array(CHANGE, { maxLength: 20 }), CHANGE, (changes, asked) => {
      const attributes = new MemoryAttributes();
      for (const change of changes) attributes.store(rangeOf(change));
      const pages = brute(changes);
      expect(pages.map((_, gfn) => attributes.isPrivate(gfn))).toEqual(pages);
      expect(attributes.isPrivate(PAGES)).toBe(false);
      const { start, end, isPrivate } = rangeOf(asked);
      const part = pages.slice(start, end);
      expect(attributes.isUniform(start, end)).toBe(new Set(part).size === 1);
      expect(attributes.has({ start, end, isPrivate })).toBe(part.every((p) => p === isPrivate));
      expect(attributes.privateRanges.flatMap((r) => pages.slice(r.start, r.end))).toEqual(pages.filter((p) => p));
    }),
    { numRuns: 500 },
  );
});

it("what it keeps depends on how often the value alternates, not on how it came to be", () => {
  const attributes = new MemoryAttributes();
  for (let gfn = 0; gfn < 1000; gfn++) attributes.store({ start: gfn, end: gfn + 1, isPrivate: true });
  expect(attributes.privateRanges).toEqual([{ start: 0, end: 1000 }]);
  attributes.store({ start: 0, end: 2 ** 40, isPrivate: false });
  expect(attributes.privateRanges).toEqual([]);
});

describe("the conversion", () => {
  const convert = (
    attributes: MemoryAttributes,
    isPrivate: boolean,
    alloc = (): void => undefined,
  ): readonly string[] => {
    const log: string[] = [];
    const op = setMemoryAttributes(
      attributes,
      { start: 1, end: 3, isPrivate },
      alloc,
      function* (ranges, view, change) {
        log.push(`zap ${view} ${ranges.map((r) => `${r.start}..${r.end}`).join()} while ${attributes.isPrivate(1)}`);
        change();
        log.push(`now ${attributes.isPrivate(1)}`);
      },
    );
    while (!op.next().done);
    return log;
  };

  it("zaps what the guest has of the other value, before the value changes", () => {
    const attributes = new MemoryAttributes();
    expect(convert(attributes, true)).toEqual(["zap shared 1..3 while false", "now true"]);
    expect(convert(attributes, false)).toEqual(["zap private 1..3 while true", "now false"]);
  });

  it("does nothing where every frame has the value, and all of it where one has not", () => {
    const attributes = new MemoryAttributes();
    expect(convert(attributes, false)).toEqual([]);
    attributes.store({ start: 2, end: 3, isPrivate: true });
    expect(convert(attributes, false)).toHaveLength(2);
    expect(attributes.privateRanges).toEqual([]);
  });

  it("ENOMEM: nothing was zapped, nothing changed; and nothing is allocated where nothing is to be done", () => {
    const attributes = new MemoryAttributes();
    const fails = (): never => {
      throw new DmaBufError("ENOMEM", { op: "xa_reserve", stage: "memslot", message: "told to fail" });
    };
    expect(errnoOf(() => convert(attributes, true, fails))).toBe("ENOMEM");
    expect(attributes.privateRanges).toEqual([]);
    expect(errnoOf(() => convert(attributes, false, fails))).toBe("ok");
  });
});
