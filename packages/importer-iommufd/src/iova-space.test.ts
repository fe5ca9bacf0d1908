/** Each refusal of the address side, and what it does otherwise. Nothing that is refused changes anything. */
import { errnoOf, refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import type { AreaSpan } from "./area-span.js";
import { IovaSpace } from "./iova-space.js";
import { U64_MAX } from "./u64.js";

const PAGE = 4096n;
const fixed = (iova: bigint, length: bigint) => ({ iova, length, addressHint: 0n });
const auto = (length: bigint, addressHint = 0n) => ({ iova: null, length, addressHint });

function span(iova: bigint, length: bigint, change: Partial<AreaSpan> = {}): AreaSpan {
  return { iova, last: iova + length - 1n, pageOffset: 0, isReady: true, ...change };
}

/** Places and inserts. */
function put(space: IovaSpace<AreaSpan>, what: Parameters<typeof space.place>[0]): AreaSpan {
  const area = span(space.place(what), what.length);
  space.insert(area);
  return area;
}

/** All that can be seen of it. */
const shown = (space: IovaSpace<AreaSpan>): unknown => [space.areas, space.ranges(), space.alignment];

describe("place", () => {
  const space = new IovaSpace<AreaSpan>();
  put(space, fixed(8n * PAGE, 2n * PAGE));
  space.reserve(20n * PAGE, 22n * PAGE - 1n, {});
  space.setAlignment(PAGE);

  it.each<[string, ReturnType<typeof fixed>, string]>([
    ["length 0", fixed(0n, 0n), "EINVAL"],
    ["a length that is no multiple of the alignment", fixed(0n, PAGE + 1n), "EINVAL"],
    ["an IOVA that is none", fixed(1n, PAGE), "EINVAL"],
    ["beyond 64 bits", fixed(U64_MAX - PAGE + 1n, 2n * PAGE), "EOVERFLOW"],
    ["an IOVA below 0", fixed(-PAGE, 2n * PAGE), "EOVERFLOW"],
    ["a length below 0", fixed(PAGE, -PAGE), "EOVERFLOW"],
    ["the last page", fixed(U64_MAX - PAGE + 1n, PAGE), "ok"],
    ["IOVA 0", fixed(0n, PAGE), "ok"],
    ["the first reserved page", fixed(19n * PAGE, 2n * PAGE), "EINVAL"],
    ["the last reserved page", fixed(21n * PAGE, PAGE), "EINVAL"],
    ["beside what is reserved", fixed(22n * PAGE, PAGE), "ok"],
    ["an area and what is reserved: reserved is told", fixed(8n * PAGE, 20n * PAGE), "EINVAL"],
    ["the same area", fixed(8n * PAGE, 2n * PAGE), "EEXIST"],
    ["its last page", fixed(9n * PAGE, PAGE), "EEXIST"],
    ["around it", fixed(7n * PAGE, 4n * PAGE), "EEXIST"],
    ["beside it", fixed(10n * PAGE, PAGE), "ok"],
  ])("%s", (_name, what, expected) => {
    const before = shown(space);
    expect(errnoOf(() => space.place(what))).toBe(expected);
    expect(shown(space)).toEqual(before);
  });

  it.each<[string, ReturnType<typeof auto>, string]>([
    ["half of 64 bits", auto(1n << 63n), "EOVERFLOW"],
    ["a length below 0", auto(-PAGE), "EOVERFLOW"],
    ["a hint that is aligned to less than this IOAS", auto(PAGE, 0x800n), "EINVAL"],
    ["more than is left", auto((1n << 63n) - PAGE), "ok"],
  ])("chosen: %s", (_name, what, expected) => expect(errnoOf(() => space.place(what))).toBe(expected));

  it("what is allowed binds only what the kernel chooses", () => {
    const limited = new IovaSpace<AreaSpan>();
    limited.allow([{ iova: 0x10_0000n, last: 0x10_1fffn }]);
    expect(limited.place(fixed(0x5000n, PAGE))).toBe(0x5000n);
    expect(limited.place(auto(PAGE))).toBe(0x10_0000n);
    expect(errnoOf(() => limited.place(auto(4n * PAGE)))).toBe("ENOSPC");
    limited.allow([]);
    expect(limited.place(auto(4n * PAGE))).toBe(4n * PAGE);
  });

  it("neither IOVA 0 nor the last page is chosen, also where it is allowed", () => {
    const ends = new IovaSpace<AreaSpan>();
    ends.allow([
      { iova: 0n, last: 0x1fffn },
      { iova: U64_MAX - 0x1fffn, last: U64_MAX },
    ]);
    expect([put(ends, auto(PAGE)).iova, put(ends, auto(PAGE)).iova]).toEqual([PAGE, U64_MAX - 0x1fffn]);
    expect(errnoOf(() => ends.place(auto(PAGE)))).toBe("ENOSPC");
  });

  it("two allowed ranges that touch are one: an area lies over their border", () => {
    const split = new IovaSpace<AreaSpan>();
    split.allow([
      { iova: 0x9000n, last: 0x9fffn },
      { iova: 0x8000n, last: 0x8fffn },
    ]);
    expect(split.place(auto(2n * PAGE))).toBe(0x8000n);
  });

  it("an IOVA that is chosen is aligned as a leaf could use it, up to 2 MiB, and keeps the hint's place in its page", () => {
    const empty = new IovaSpace<AreaSpan>();
    expect(empty.place(auto(PAGE))).toBe(PAGE);
    expect(empty.place(auto(0x1_0000n))).toBe(0x1_0000n);
    expect(empty.place(auto(0x1_0000n, 0x3000n))).toBe(PAGE);
    expect(empty.place(auto(0x1_0000n, 0x6000n))).toBe(0x2000n);
    expect(empty.place(auto(1n << 30n))).toBe(1n << 21n);
    expect(empty.place(auto(1n, 0xabcn))).toBe(0x1abcn);
  });

  it("a single byte goes nowhere where only it has room, as in Linux; two do", () => {
    const crowded = new IovaSpace<AreaSpan>();
    crowded.reserve(0n, 0x4fffn, {});
    crowded.reserve(0x5002n, U64_MAX, {});
    expect(crowded.place(auto(2n))).toBe(0x5000n);
    crowded.reserve(0x5001n, 0x5001n, {});
    expect(errnoOf(() => crowded.place(auto(1n)))).toBe("ENOSPC");
    expect(crowded.place(fixed(0x5000n, 1n))).toBe(0x5000n);
    const odd = new IovaSpace<AreaSpan>();
    odd.reserve(0n, 0x5000n, {});
    expect(odd.place(auto(1n))).toBe(0x5001n);
  });

  it("an offset in the backing that is no multiple of the alignment is told when the area is inserted", () => {
    const before = shown(space);
    expect(refusal(() => space.insert(span(0x100_0000n, PAGE, { pageOffset: 0x800 })))).toBe("EINVAL@map");
    expect(shown(space)).toEqual(before);
  });
});

describe("what is reserved and what is allowed", () => {
  const world = (): IovaSpace<AreaSpan> => {
    const space = new IovaSpace<AreaSpan>();
    put(space, fixed(0x1_0000n, PAGE));
    space.allow([{ iova: 0x10_0000n, last: 0x1f_ffffn }]);
    space.reserve(0n, 0xfffn, "low" as unknown as object);
    return space;
  };

  it.each<[string, bigint, bigint, string]>([
    ["an area", 0x1_0fffn, 0x1_ffffn, "EADDRINUSE@attach"],
    ["an area's first byte", 0xf000n, 0x1_0000n, "EADDRINUSE@attach"],
    ["up to an area", 0xf000n, 0xffffn, "ok"],
    ["what is allowed", 0x1f_ffffn, 0x2f_ffffn, "EADDRINUSE@attach"],
    ["its first byte", 0xf_f000n, 0x10_0000n, "EADDRINUSE@attach"],
    ["what is reserved already", 0n, 0x1fffn, "ok"],
    ["the top", 1n << 63n, U64_MAX, "ok"],
    ["a single byte", 0x8000n, 0x8000n, "ok"],
    ["a range that ends before it begins", 0x9000n, 0x8fffn, "EINVAL@attach"],
    ["a range that begins below 0", -1n, 0n, "EINVAL@attach"],
    ["a range that ends beyond 64 bits", 1n << 63n, U64_MAX + 1n, "EINVAL@attach"],
  ])("reserve over %s", (_name, iova, last, expected) => {
    const space = world();
    const before = shown(space);
    expect(refusal(() => space.reserve(iova, last, {}))).toBe(expected);
    if (expected !== "ok") expect(shown(space)).toEqual(before);
  });

  it("who leaves takes all of his own back, and nothing else", () => {
    const space = world();
    const owner = {};
    const before = space.ranges();
    space.reserve(0x8000n, 0x8fffn, owner);
    space.reserve(0x800n, 0x1fffn, owner);
    expect(space.ranges()[0]).toEqual({ iova: 0x2000n, last: 0x7fffn });
    space.unreserve(owner);
    expect(space.ranges()).toEqual(before);
  });

  it.each<[string, readonly (readonly [bigint, bigint])[], string]>([
    ["one that ends where it begins", [[0x5000n, 0x5000n]], "EINVAL@map"],
    [
      "two that overlap",
      [
        [0x5000n, 0x6fffn],
        [0x2000n, 0x5000n],
      ],
      "EINVAL@map",
    ],
    [
      "one that is reserved in part",
      [
        [0x5000n, 0x6fffn],
        [0xfffn, 0x2000n],
      ],
      "EADDRINUSE@map",
    ],
    [
      "two that touch",
      [
        [0x5000n, 0x5fffn],
        [0x6000n, 0x6fffn],
      ],
      "ok",
    ],
  ])("allow %s", (_name, ranges, expected) => {
    const space = world();
    expect(refusal(() => space.allow(ranges.map(([iova, last]) => ({ iova, last }))))).toBe(expected);
    // The old list binds where the new one was refused.
    expect(space.place(auto(PAGE))).toBe(expected === "ok" ? 0x5000n : 0x10_0000n);
  });

  it("an area may go where an allowed range is not, and a new list over areas is fine", () => {
    const space = world();
    space.allow([{ iova: 0x1_0000n, last: 0x1_1fffn }]);
    expect(space.place(auto(PAGE))).toBe(0x1_1000n);
  });
});

describe("alignment", () => {
  it.each<[string, AreaSpan]>([
    ["an IOVA", span(0x1800n, PAGE)],
    ["a length", span(0x1000n, 0x800n)],
    ["an offset in the backing", span(0x1000n, PAGE, { pageOffset: 0x800 })],
  ])("%s that does not conform: EADDRINUSE, and it stays as it was", (_name, area) => {
    const space = new IovaSpace<AreaSpan>();
    space.insert(area);
    expect(refusal(() => space.setAlignment(PAGE))).toBe("EADDRINUSE@attach");
    expect(space.alignment).toBe(1n);
    space.setAlignment(0x800n);
    space.remove(area);
    space.setAlignment(PAGE);
    space.setAlignment(1n);
    expect(space.alignment).toBe(1n);
  });

  it("more than a page is refused: EINVAL", () =>
    expect(refusal(() => new IovaSpace<AreaSpan>().setAlignment(2n * PAGE))).toBe("EINVAL@attach"));
});

describe("COPY's source", () => {
  const space = new IovaSpace<AreaSpan>();
  put(space, fixed(0x1000n, 0x2000n));
  put(space, fixed(0x3000n, 0x1000n));
  put(space, fixed(0x5000n, 0x1000n));
  space.insert(span(0x8000n, 0x1000n, { isReady: false }));

  it.each<[string, bigint, bigint, string]>([
    ["length 0", 0x1000n, 0n, "EINVAL"],
    ["beyond 64 bits", 0x1000n, U64_MAX, "EOVERFLOW"],
    ["nothing", 0x7000n, 1n, "ENOENT"],
    ["a hole at the end", 0x3fffn, 2n, "ENOENT"],
    ["a hole at the beginning", 0xfffn, 2n, "ENOENT"],
    ["a hole between", 0x1000n, 0x5000n, "ENOENT"],
    ["one that is being filled", 0x8000n, 0x1000n, "ENOENT"],
    ["a byte", 0x5fffn, 1n, "ok"],
  ])("%s", (_name, iova, length, expected) => expect(errnoOf(() => space.contiguous(iova, length))).toBe(expected));

  it("two areas that touch are cut at the ends", () =>
    expect(space.contiguous(0x2801n, 0xfffn).map(({ iova, last, skipBytes }) => [iova, last, skipBytes])).toEqual([
      [0x2801n, 0x2fffn, 0x1801n],
      [0x3000n, 0x37ffn, 0n],
    ]));
});

describe("UNMAP, area by area", () => {
  const unmapped = (space: IovaSpace<AreaSpan>, iova: bigint, length: bigint): bigint[] => {
    const gone: bigint[] = [];
    const range = { iova, last: iova + length - 1n };
    for (let area = space.nextToUnmap(range); area; area = space.nextToUnmap(range)) {
      gone.push(area.iova);
      space.remove(area);
    }
    return gone;
  };
  const world = (): IovaSpace<AreaSpan> => {
    const space = new IovaSpace<AreaSpan>();
    for (const iova of [0x1000n, 0x3000n, 0x5000n]) put(space, fixed(iova, 0x1000n));
    return space;
  };

  it("whole areas, with what lies between them", () => {
    expect(unmapped(world(), 0x1000n, 0x5000n)).toEqual([0x1000n, 0x3000n, 0x5000n]);
    expect(unmapped(world(), 0n, U64_MAX)).toHaveLength(3);
    expect(unmapped(world(), 0x2000n, 0x1000n)).toEqual([]);
  });

  it("one that is only partly inside ends it; what went before stays away", () => {
    const space = world();
    expect(errnoOf(() => unmapped(space, 0x1000n, 0x4800n))).toBe("ENOENT");
    expect(space.areas.map((area) => area.iova)).toEqual([0x5000n]);
  });

  it("one that is being filled or torn down: EBUSY, also where it is only partly inside", () => {
    const space = new IovaSpace<AreaSpan>();
    space.insert(span(0x1000n, 0x1000n, { isReady: false }));
    expect(errnoOf(() => unmapped(space, 0x1000n, 0x800n))).toBe("EBUSY");
    expect(space.areaCount).toBe(1);
  });
});
