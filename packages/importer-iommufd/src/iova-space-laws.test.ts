/** The address side against a map of units, at both ends of 64 bits: each answer, each state. */
import { errnoOf } from "@dma-buf/config/refusal";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { AreaSpan } from "./area-span.js";
import { IovaSpace } from "./iova-space.js";
import { IovaModel, UNIT, UNITS } from "./testing/iova-model.js";
import { U64_MAX } from "./u64.js";

/** One call: at which unit, how many, and a number that means what the call needs besides. */
interface Step {
  readonly what: keyof typeof ACTS;
  readonly at: number;
  readonly units: number;
  readonly more: number;
}

/** Both, with those who reserve. */
interface Twins {
  readonly space: IovaSpace<AreaSpan>;
  readonly model: IovaModel;
  readonly owners: readonly object[];
}

/** What the model expects; `doIt` is what is asked, and notes in the model what it did. */
type Act = (twins: Twins, step: Step) => readonly [expected: string, doIt: () => void];

const lengthOf = ({ units }: Step): bigint => BigInt(units) * UNIT;
const lastOf = (model: IovaModel, step: Step): bigint => model.iova(step.at) + lengthOf(step) - 1n;
const nothing = ["ok", () => {}] as const;
const isInside = ({ at, units }: Step): boolean => units > 0 && at + units <= UNITS;

const ACTS = {
  fixed: ({ space, model }, step) => {
    const iova = model.iova(step.at);
    return [model.fixed(step.at, step.units), () => occupy(space, model, iova, lengthOf(step))];
  },
  auto: ({ space, model }, step) => {
    const hint = BigInt(step.more) * UNIT;
    const expected = model.firstFit(step.units, hint);
    const doIt = (): void => expect(occupy(space, model, null, lengthOf(step), hint)).toBe(expected);
    return [typeof expected === "string" ? expected : "ok", doIt];
  },
  unmap: ({ space, model }, step) => {
    if (!isInside(step)) return nothing;
    const range = { iova: model.iova(step.at), last: lastOf(model, step) };
    const area = model.area.slice(step.at, step.at + step.units).find((a) => a !== null) ?? null;
    const isWhole = !area || (area.iova >= range.iova && area.last <= range.last);
    const doIt = (): void => {
      const found = space.nextToUnmap(range);
      expect(found).toBe(area);
      if (found) space.remove(found);
      for (const [i, a] of model.area.entries()) if (a === found) model.area[i] = null;
    };
    return [isWhole ? "ok" : "ENOENT", doIt];
  },
  reserve: ({ space, model, owners }, step) => {
    if (!isInside(step)) return nothing;
    const { at, units, more } = step;
    const isFree = !model.isMapped(at, units) && !model.isAllowed(at, units);
    const doIt = (): void => {
      space.reserve(model.iova(at), lastOf(model, step), owners[more % 3] as object);
      for (let i = at; i < at + units; i++) model.reserved[i] = (model.reserved[i] as number) | (1 << (more % 3));
    };
    return [isFree ? "ok" : "EADDRINUSE", doIt];
  },
  unreserve: ({ space, model, owners }, { more }) => {
    const doIt = (): void => {
      space.unreserve(owners[more % 3] as object);
      for (const [i, bits] of model.reserved.entries()) model.reserved[i] = bits & ~(1 << (more % 3));
    };
    return ["ok", doIt];
  },
  // One range, or two of the same length, in any order; or none.
  allow: ({ space, model }, step) => {
    const { at, units, more } = step;
    const starts = units === 0 ? [] : [...new Set([at, more])].filter((start) => start + units <= UNITS);
    const [first = 0, second = UNITS] = starts;
    const overlap = starts.length === 2 && Math.abs(first - second) < units;
    const isReserved = starts.some((start) => model.isReserved(start, units));
    const ranges = starts.map((start) => ({ iova: model.iova(start), last: model.iova(start) + lengthOf(step) - 1n }));
    const doIt = (): void => {
      space.allow(ranges);
      const isIn = (i: number): boolean => starts.some((start) => i >= start && i < start + units);
      model.allowed = starts.length === 0 ? null : model.area.map((_, i) => isIn(i));
    };
    const refused = isReserved ? "EADDRINUSE" : "ok";
    return [overlap ? "EINVAL" : refused, doIt];
  },
  align: ({ space, model }, { more }) => {
    const to = [1n, UNIT, 2n * UNIT][more % 3] as bigint;
    const conforms = space.areas.every((a) => a.iova % to === 0n && (a.last + 1n) % to === 0n);
    const doIt = (): void => {
      space.setAlignment(to);
      model.alignment = to;
    };
    return [to <= model.alignment || conforms ? "ok" : "EADDRINUSE", doIt];
  },
} satisfies Record<string, Act>;

/** Places, inserts, and notes it. @returns where */
function occupy(
  space: Twins["space"],
  model: IovaModel,
  iova: bigint | null,
  length: bigint,
  addressHint = 0n,
): bigint {
  const at = space.place({ iova, length, addressHint });
  const area: AreaSpan = { iova: at, last: at + length - 1n, pageOffset: 0, isReady: true };
  space.insert(area);
  for (const i of model.units(area.iova, area.last)) model.area[i] = area;
  return at;
}

const shown = ({ space }: Twins): unknown => [space.areas, space.ranges(), space.alignment];

function compare({ space, model }: Twins): void {
  const free = space.ranges();
  const seen = model.area.map((_, i) => {
    const iova = model.iova(i);
    const isFree = free.some((range) => range.iova <= iova && iova <= range.last);
    return [space.areas.find((area) => area.iova <= iova && iova <= area.last) ?? null, isFree];
  });
  expect(seen).toEqual(model.area.map((area, i) => [area, model.reserved[i] === 0]));
  expect(space.areas).toEqual([...new Set(model.area.filter((area) => area !== null))]);
  expect(space.alignment).toBe(model.alignment);
}

/** Nobody goes where the model does not. */
function twins(base: bigint): Twins {
  const space = new IovaSpace<AreaSpan>();
  const end = base + BigInt(UNITS) * UNIT;
  if (base > 0n) space.reserve(0n, base - 1n, {});
  if (end <= U64_MAX) space.reserve(end, U64_MAX, {});
  return { space, model: new IovaModel(base), owners: [{}, {}, {}] };
}

const steps = fc.array(
  fc.record<Step>({
    what: fc.constantFrom(...(Object.keys(ACTS) as Step["what"][])),
    at: fc.integer({ min: 0, max: UNITS - 1 }),
    units: fc.integer({ min: 0, max: 12 }),
    more: fc.integer({ min: 0, max: UNITS - 1 }),
  }),
  { maxLength: 40 },
);

it.each([
  ["the bottom", 0n],
  ["the top", U64_MAX + 1n - BigInt(UNITS) * UNIT],
])("at %s: as a map of units answers, and nothing changed by a refusal", (_name, base) => {
  fc.assert(
    fc.property(steps, (all) => {
      const both = twins(base);
      for (const step of all) {
        const before = shown(both);
        const [expected, doIt] = ACTS[step.what](both, step);
        const answer = errnoOf(doIt);
        expect(answer).toBe(expected);
        if (answer !== "ok") expect(shown(both)).toEqual(before);
        compare(both);
      }
    }),
    { numRuns: 250 },
  );
});
