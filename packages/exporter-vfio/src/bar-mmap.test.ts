/** CPU mappings of a BAR: what can be mapped, what a touched page is, and when it is not there. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, type MaySleep, type Op, perform, type PfnAnswer, Scheduler, type Vma } from "@dma-buf/core";
import type { PhysVec } from "@dma-buf/scatterlist";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BarMmaps, type MmapDevice, mmapSupported } from "./bar-mmap.js";
import type { VfioHost } from "./host.js";
import { MemoryLock } from "./memory-lock.js";
import { BAR, fakeHost, PAGE } from "./testing.js";

const FRAME = BAR / PAGE;
const vma = (pgoff = 0, pages = 16): Vma => ({ pgoff, pages, buf: null, fault: null });

function rig(host: VfioHost = fakeHost()) {
  const scheduler = new Scheduler();
  const lock = new MemoryLock(scheduler);
  const state = { enabled: true, isPrivate: false, asked: [] as number[] };
  const dev: MmapDevice = {
    host,
    lock,
    enabled: () => state.enabled,
    binding: { data: state, checkMmap: (regionIndex) => void state.asked.push(regionIndex) },
  };
  const run = <T>(op: Op<T>): T => scheduler.complete("test", op);
  const touch = (of: Vma, page: number): PfnAnswer =>
    run(perform((of.fault as (page: number) => MaySleep<PfnAnswer>)(page)));
  return { scheduler, lock, state, dev, mmaps: new BarMmaps(dev), run, touch };
}

/** A BAR that begins at `physical`. */
function barAt(physical: number, sizeBytes: number): VfioHost {
  return { ...fakeHost(), region: (i) => (i === 0 ? { physical: addr(physical), sizeBytes } : null) };
}

describe("mmap", () => {
  it.each<[string, number, Vma]>([
    ["a whole BAR", 0, vma()],
    ["its last page", 0, vma(15, 1)],
    ["another BAR", 4, vma(0, 4096)],
  ])("%s", (_name, regionIndex, of) => {
    rig().mmaps.mmap(regionIndex, of);
    expect(of.fault).toBeTypeOf("function");
  });

  it.each<[string, number, Vma, RegExp]>([
    ["one page beyond", 0, vma(0, 17), /17 pages from 0 are not in the BAR, which has 16: map fewer/],
    ["from the end on", 0, vma(16, 1), /1 pages from 16/],
    ["far beyond", 0, vma(Number.MAX_SAFE_INTEGER, 1), /not in the BAR/],
    ["a negative offset", 0, vma(-1, 2), /2 pages from -1/],
    ["a negative size", 0, vma(4, -1), /-1 pages/],
    ["nothing, as mmap(2) has it", 0, vma(4, 0), /0 pages from 4/],
    ["half a page", 0, vma(0, 0.5), /0.5 pages/],
    ["an I/O BAR", 2, vma(0, 1), /region 2 of 0000:01:00.0 cannot be mapped: choose a memory BAR/],
    ["a BAR that is not there", 1, vma(0, 1), /region 1/],
    ["the ROM", 6, vma(0, 1), /region 6/],
    ["config space", 7, vma(0, 1), /region 7/],
    ["region 9", 9, vma(0, 1), /region 9/],
    ["region -1", -1, vma(0, 1), /region -1/],
  ])("EINVAL for %s, and the VMA is left alone", (_name, regionIndex, of, message) => {
    const { mmaps } = rig();
    const act = (): void => mmaps.mmap(regionIndex, of);
    expect(refusal(act)).toBe("EINVAL@mmap");
    expect(act).toThrow(message);
    expect(of.fault).toBeNull();
  });

  it("EINVAL for a private mapping", () => {
    const of: Vma = { ...vma(), isPrivate: true };
    const act = (): void => rig().mmaps.mmap(0, of);
    expect(refusal(act)).toBe("EINVAL@mmap");
    expect(act).toThrow(/MAP_SHARED/);
    expect(of.fault).toBeNull();
  });

  it("asks first whose the device is, for any region", () => {
    const { mmaps, state } = rig();
    expect(refusal(() => mmaps.mmap(9, vma()))).toBe("EINVAL@mmap");
    expect(state.asked).toEqual([9]);
  });

  it("a BAR of 256 bytes has a page, if it begins one", () => {
    const small = rig(barAt(0xfeb0_0000, 256));
    const of = vma(0, 1);
    small.mmaps.mmap(0, of);
    expect(small.touch(of, 0)).toEqual({ pfn: 0xfeb00, maxOrder: 0 });
    expect(refusal(() => small.mmaps.mmap(0, vma(0, 2)))).toBe("EINVAL@mmap");
    expect(refusal(() => rig(barAt(0xfeb0_0100, 256)).mmaps.mmap(0, vma(0, 1)))).toBe("EINVAL@mmap");
  });

  it.each([-1, 1, 2, 6, 9, Number.NaN])("region %f is not mappable", (regionIndex) => {
    expect(mmapSupported(fakeHost(), regionIndex)).toBe(false);
  });
});

describe("a BAR is mappable", () => {
  const everywhere: VfioHost = {
    ...barAt(2 ** 30, PAGE),
    region: () => ({ physical: addr(2 ** 30), sizeBytes: PAGE }),
  };

  it("where there is one: the ROM is none, whatever the host has there", () => {
    expect(
      [-1, 0, 5, 6, Number.NaN].map((i) => mmapSupported({ ...everywhere, provider: fakeHost().provider }, i)),
    ).toEqual([false, true, true, false, false]);
  });

  it("with a provider", () => {
    expect(mmapSupported({ ...everywhere, provider: () => null }, 0)).toBe(false);
  });

  it("that is there", () => {
    expect(mmapSupported({ ...everywhere, region: () => null }, 0)).toBe(false);
  });
});

describe("a touched page", () => {
  it("is the BAR's, counted from the beginning of the VMA", () => {
    const { mmaps, touch } = rig();
    const of = vma(3, 5);
    mmaps.mmap(0, of);
    expect([0, 4].map((page) => touch(of, page).pfn)).toEqual([FRAME + 3, FRAME + 7]);
  });

  it.each([-1, 5, 0.5])("EFAULT for page %f of 5: it is not in the mapping", (page) => {
    const { mmaps, touch } = rig();
    const of = vma(3, 5);
    mmaps.mmap(0, of);
    expect(refusal(() => touch(of, page))).toBe("EFAULT@mmap");
  });

  const GiB = 2 ** 30;
  const MiB2 = 2 ** 21;
  it.each<[string, number, number, number, number, number, number]>([
    ["1 GiB, aligned", GiB, 2 * GiB, 0, 2 * GiB, 0, 18],
    ["1 GiB around a page in it", GiB, 2 * GiB, 0, 2 * GiB, 1000, 18],
    ["a VMA one page short of 1 GiB: 2 MiB", GiB, GiB, 0, GiB - PAGE, 0, 9],
    ["its last, short 2 MiB: 4 KiB", GiB, GiB, 0, GiB - PAGE, GiB / PAGE - 2, 0],
    ["a VMA that begins a page late: 4 KiB", GiB, GiB, 1, GiB - PAGE, 0, 0],
    ["and 2 MiB from the next on", GiB, GiB, 1, GiB - PAGE, 511, 9],
    ["a BAR at 2 MiB: none of 1 GiB", GiB + MiB2, GiB, 0, GiB, 0, 9],
    ["1 MiB: no leaf has that size", GiB, MiB2 / 2, 0, MiB2 / 2, 0, 0],
    ["4 MiB: nor that", GiB, 2 * MiB2, 0, 2 * MiB2, 0, 9],
  ])("%s", (_name, physical, barBytes, pgoff, bytes, page, order) => {
    const { mmaps, touch } = rig(barAt(physical, barBytes));
    const of = vma(pgoff, bytes / PAGE);
    mmaps.mmap(0, of);
    expect(touch(of, page)).toEqual({ pfn: physical / PAGE + pgoff + page, maxOrder: order });
  });
});

describe("while the memory is off", () => {
  it("a mapping can be made, and a CPU that touches it gets SIGBUS", () => {
    const { mmaps, state, touch } = rig();
    state.enabled = false;
    const of = vma();
    mmaps.mmap(0, of);
    expect(refusal(() => touch(of, 0))).toBe("EFAULT@mmap");
    expect(() => touch(of, 0)).toThrow(/memory of 0000:01:00.0 is off, revoked or private: .*SIGBUS/);
    state.enabled = true;
    expect(touch(of, 0).pfn).toBe(FRAME);
  });

  it("a page that is filled stays, until it is zapped; then it is filled only when there is memory again", () => {
    const { mmaps, state, touch } = rig();
    const of = vma();
    mmaps.mmap(0, of);
    expect(touch(of, 1).pfn).toBe(FRAME + 1);
    state.enabled = false;
    // No fault: the entry is there, and the CPU uses it.
    expect(touch(of, 1).pfn).toBe(FRAME + 1);
    expect(refusal(() => touch(of, 2))).toBe("EFAULT@mmap");
    mmaps.zap();
    expect(refusal(() => touch(of, 1))).toBe("EFAULT@mmap");
    state.enabled = true;
    expect(touch(of, 1).pfn).toBe(FRAME + 1);
    state.enabled = false;
    expect(touch(of, 1).pfn).toBe(FRAME + 1);
    mmaps.zap();
    expect(refusal(() => touch(of, 1))).toBe("EFAULT@mmap");
  });

  it("so it is while the device is one VM's alone", () => {
    const { mmaps, state, touch } = rig();
    const of = vma();
    mmaps.mmap(0, of);
    state.isPrivate = true;
    expect(refusal(() => touch(of, 0))).toBe("EFAULT@mmap");
    state.isPrivate = false;
    expect(touch(of, 0).pfn).toBe(FRAME);
  });

  it("a leaf fills all its pages", () => {
    const { mmaps, state, touch } = rig(barAt(2 ** 30, 2 ** 22));
    const of = vma(0, 1024);
    mmaps.mmap(0, of);
    expect(touch(of, 700)).toEqual({ pfn: 2 ** 18 + 700, maxOrder: 9 });
    state.enabled = false;
    expect(touch(of, 512).maxOrder).toBe(9);
    expect(refusal(() => touch(of, 511))).toBe("EFAULT@mmap");
  });

  it("a zap empties every mapping of the device", () => {
    const { mmaps, state, touch } = rig();
    const both = [vma(), vma(4, 2)];
    for (const of of both) {
      mmaps.mmap(0, of);
      touch(of, 0);
    }
    mmaps.zap();
    state.enabled = false;
    expect(both.map((of) => refusal(() => touch(of, 0)))).toEqual(["EFAULT@mmap", "EFAULT@mmap"]);
  });

  it("nothing is filled in the middle of a revoke: a fault waits for memory_lock", () => {
    const { mmaps, state, lock, scheduler } = rig();
    const of = vma();
    mmaps.mmap(0, of);
    const seen: string[] = [];
    function* revoke(): Op<void> {
      using _lock = yield* lock.write("revoke");
      mmaps.zap();
      yield { site: "between", ready: null };
      state.enabled = false;
      seen.push("off");
    }
    function* cpu(): Op<void> {
      yield { site: "later", ready: null };
      yield { site: "later", ready: null };
      try {
        yield* perform((of.fault as (page: number) => MaySleep<PfnAnswer>)(0));
      } catch (error) {
        seen.push((error as { code: string }).code);
      }
    }
    scheduler.spawn("revoke", revoke());
    scheduler.spawn("cpu", cpu());
    scheduler.run();
    expect(seen).toEqual(["off", "EFAULT"]);
  });
});

describe("a mapping of a buffer", () => {
  const vecs: PhysVec[] = [
    { physical: addr(BAR + 8 * PAGE), sizeBytes: 2 * PAGE },
    { physical: addr(BAR), sizeBytes: 3 * PAGE },
  ];

  it("walks its ranges from the VMA's offset on", () => {
    const { mmaps, touch } = rig();
    const of = vma(1, 3);
    mmaps.fill(of, vecs);
    expect([0, 1, 2].map((page) => touch(of, page).pfn - FRAME)).toEqual([9, 0, 1]);
    expect(refusal(() => touch(of, 3))).toBe("EFAULT@mmap");
  });

  it("asks what else must hold, with the lock held", () => {
    const { mmaps, lock, touch } = rig();
    let revoked = true;
    const free: boolean[] = [];
    const of = vma(0, 5);
    mmaps.fill(of, vecs, () => {
      free.push(lock.tryWrite("test") !== null);
      return !revoked;
    });
    expect(refusal(() => touch(of, 0))).toBe("EFAULT@mmap");
    revoked = false;
    expect(touch(of, 0).pfn).toBe(FRAME + 8);
    expect(free).toEqual([false, false]);
  });
});

it("law: any page of any mapping is the BAR's page there, and its leaf lies in the mapping", () => {
  const pages = 2 ** 11;
  const { mmaps, touch } = rig(barAt(2 ** 30 - 300 * PAGE, pages * PAGE));
  const first = 2 ** 18 - 300;
  fc.assert(
    fc.property(fc.nat(pages - 1), fc.nat(pages), fc.nat(), (pgoff, size, n) => {
      const of = vma(pgoff, Math.min(size + 1, pages - pgoff));
      mmaps.mmap(0, of);
      const page = n % of.pages;
      const { pfn, maxOrder } = touch(of, page);
      expect(pfn).toBe(first + pgoff + page);
      const leaf = pfn - (pfn % 2 ** maxOrder);
      expect(leaf).toBeGreaterThanOrEqual(first + pgoff);
      expect(leaf + 2 ** maxOrder).toBeLessThanOrEqual(first + pgoff + of.pages);
      expect([0, 9, 18]).toContain(maxOrder);
    }),
  );
});
