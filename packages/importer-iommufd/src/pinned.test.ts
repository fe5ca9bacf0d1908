/** Memory of a process and memory files on the machine: the kernel suite's tests of mock domains, by their names. */
import { DmaBufError } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Hwpt } from "./hwpt.js";
import type { Ioas } from "./ioas.js";
import { machineWorld, MAP, type MachineWorld, PAGE, pattern, type WorldOptions } from "./testing/machine-world.js";

const VA = 0x7f00_0000_0000n;
const IOVA = 0x10_0000_0000n;
const PAGES = 8;
const LENGTH = BigInt(PAGES * PAGE);
const ALL = 2n ** 64n - 1n;

interface Rig extends MachineWorld {
  readonly ioas: Ioas;
  readonly fd: number;
  readonly locked: () => number;
  map(change?: object): ReturnType<Ioas["map"]>;
  mapFile(change?: object): ReturnType<Ioas["mapFile"]>;
}

/** A process with eight pages of a file at {@link VA}; two devices in two page tables where `domains` is 2. */
function rig(domains: number, options: WorldOptions = {}): Rig {
  const w = machineWorld("linux-7.3", options);
  const fd = w.memfds.create(PAGES * PAGE);
  w.user.mmap(VA, PAGES * PAGE, { file: w.memfds.memfd(fd) });
  const ioas = w.iommufd.createIoas();
  if (domains > 0) w.run(w.iommufd.bind(w.nic).attach(ioas));
  if (domains > 1) w.run(w.iommufd.bind(w.machine.device(w.vfio.name)).attach(w.run(ioas.allocHwpt(w.nic))));
  const map = { flags: MAP.FIXED_RW, iova: IOVA, length: LENGTH };
  return {
    ...w,
    ioas,
    fd,
    locked: () => w.user.lockedPages,
    map: (change = {}) => ioas.map({ ...map, userVa: VA, ...change }),
    mapFile: (change = {}) => ioas.mapFile({ ...map, file: fd, start: 0n, ...change }),
  };
}

const machines = (["vt-d", "amd-vi"] as const).flatMap((kind) => [1, 2].map((n) => [kind, n] as const));

describe.each(machines)("iommufd_mock_domain, %s, %i domain(s)", (iommuKind, domains) => {
  it.each(["map", "mapFile"] as const)("basic: %s", (how) => {
    const r = rig(domains, { iommuKind });
    const before = r.counts();
    expect(r.run(r[how]())).toBe(IOVA);
    const devices = domains > 1 ? [r.nic, r.machine.device(r.vfio.name)] : [r.nic];
    for (const [i, device] of devices.entries()) {
      expect(r.write(IOVA + 0x2ff8n, pattern(i), device)).toBe("done");
      expect(r.memfds.memfd(r.fd).read(0x2ff8, 16)).toEqual(pattern(i));
    }
    expect(r.locked()).toBe(how === "map" ? PAGES : 0);
    expect(r.run(r.ioas.unmap(IOVA, LENGTH))).toBe(LENGTH);
    expect(r.write(IOVA, pattern(9))).toBe("fault");
    expect(r.counts()).toEqual(before);
  });

  it("basic: a hole in the VMA is EFAULT; past the end of a file, and a file that was cut, EINVAL", () => {
    const r = rig(domains, { iommuKind });
    r.user.munmap(VA + 0x3000n, PAGE);
    expect(r.answer(r.map())).toBe("EFAULT@map");
    expect(r.answer(r.map({ length: 0x3000n }))).toBe("ok");
    expect(r.answer(r.mapFile({ iova: 0n, length: LENGTH + 4096n }))).toBe("EINVAL@map");
    r.memfds.memfd(r.fd).truncate(PAGE);
    expect(r.answer(r.mapFile({ iova: 0n }))).toBe("EINVAL@map");
  });

  it("all_aligns", () => {
    const r = rig(domains, { iommuKind });
    for (let page = 0; page < PAGES; page++) r.memfds.memfd(r.fd).write(page * PAGE, pattern(page));
    for (let start = 0; start < PAGES; start++)
      for (let end = start + 1; end <= PAGES; end++) {
        const length = BigInt((end - start) * PAGE);
        r.run(r.map({ userVa: VA + BigInt(start * PAGE), length }));
        for (let page = start; page < end; page++)
          expect(r.read(IOVA + BigInt((page - start) * PAGE), 16)).toEqual(pattern(page));
        expect(r.read(IOVA + length, 16)).toBe("fault");
        expect(r.locked()).toBe(end - start);
        r.run(r.ioas.unmap(IOVA, length));
        expect(r.locked()).toBe(0);
      }
  });

  it("all_aligns_copy", () => {
    const r = rig(domains, { iommuKind });
    const whole = { flags: MAP.FIXED_RW, src: r.ioas, srcIova: IOVA };
    for (let start = 0; start < PAGES; start++) {
      const length = BigInt((PAGES - start) * PAGE);
      r.run(r.map());
      r.run(r.ioas.copy({ ...whole, iova: 0n, srcIova: IOVA + BigInt(start * PAGE), length }));
      // A page is pinned once, whoever else shows it, and a domain comes and goes meanwhile.
      expect(r.locked()).toBe(PAGES);
      const hwpt = r.run(r.ioas.allocHwpt(r.nic));
      expect(r.locked()).toBe(PAGES);
      r.run(r.ioas.unmap(IOVA, LENGTH));
      expect(r.locked()).toBe(PAGES - start);
      r.memfds.memfd(r.fd).write(start * PAGE, pattern(start));
      expect(r.read(0n, 16)).toEqual(pattern(start));
      r.run(r.iommufd.objects.destroy(r.iommufd.objects.idOf(hwpt)));
      r.run(r.ioas.unmap(0n, ALL));
      expect(r.locked()).toBe(0);
    }
  });

  it("user_copy", () => {
    const r = rig(domains, { iommuKind });
    const plain = r.iommufd.createIoas();
    r.run(plain.map({ flags: MAP.FIXED_RW, iova: 0x1000n, length: LENGTH, userVa: VA }));
    expect(r.locked()).toBe(0);
    const copied = { flags: MAP.FIXED_RW, iova: IOVA, length: 0x2000n, src: plain, srcIova: 0x3000n };
    expect(r.run(r.ioas.copy(copied))).toBe(IOVA);
    expect(r.locked()).toBe(2);
    r.run(plain.unmap(0n, ALL));
    expect([r.write(IOVA + 0x1000n, pattern(4)), r.memfds.memfd(r.fd).read(0x3000, 16)]).toEqual(["done", pattern(4)]);
  });

  it("ro_unshare: what may be read alone cannot be written, nor can a copy of it", () => {
    const r = rig(domains, { iommuKind });
    r.run(r.map({ flags: MAP.FIXED | MAP.READ }));
    expect([r.write(IOVA, pattern(1)), r.read(IOVA, 16)]).toEqual(["fault", new Uint8Array(16)]);
    const copied = { flags: MAP.FIXED_RW, iova: 0n, length: LENGTH, src: r.ioas, srcIova: IOVA };
    expect(r.answer(r.ioas.copy(copied))).toBe("EPERM@map");
    expect(r.answer(r.ioas.copy({ ...copied, flags: MAP.FIXED | MAP.READ }))).toBe("ok");
  });
});

describe("without a domain nothing is looked at, and the attach tells", () => {
  const lazily: Record<string, [string, (r: Rig) => unknown]> = {
    "unaligned length": ["EADDRINUSE@attach", (r) => r.run(r.map({ length: 0x1001n }))],
    "an address nobody maps": ["EFAULT@attach", (r) => r.run(r.map({ userVa: 0x1000n }))],
    "page frames of a BAR": [
      "EFAULT@attach",
      (r) => {
        r.user.mmap(0x1000n, PAGE, { file: null });
        r.run(r.map({ userVa: 0x1000n, length: 4096n }));
      },
    ],
    "beyond the end of a file": ["EINVAL@attach", (r) => r.run(r.mapFile({ length: LENGTH + 4096n }))],
    "a file that is none": ["EINVAL@attach", (r) => r.run(r.mapFile({ file: { kind: "other" } }))],
    "a process that is gone (fork_gone)": [
      "EFAULT@attach",
      (r) => {
        r.run(r.map());
        r.user.exit();
      },
    ],
    "an area in the interrupt window": ["EADDRINUSE@attach", (r) => r.run(r.map({ iova: 0xfee0_0000n }))],
    "an area beyond the aperture": ["EADDRINUSE@attach", (r) => r.run(r.map({ iova: 2n ** 50n }))],
    "an allowed range in the interrupt window": [
      "EADDRINUSE@attach",
      (r) => r.ioas.space.allow([{ iova: 0xfee0_0000n, last: 0xfee0_0fffn }]),
    ],
    "more than may be locked": ["ENOMEM@attach", (r) => r.run(r.map())],
    "what is fine (fork_present)": ["ok", (r) => r.run(r.map({ length: 0x2000n }))],
  };
  it.each(Object.keys(lazily))("%s", (what) => {
    const [expected, prepare] = lazily[what] as (typeof lazily)[string];
    const r = rig(0, { lockedPagesMax: 3 });
    // Before it comes an area that is fine: it is filled, and emptied again.
    r.run(r.map({ iova: 0x1000n, length: 4096n }));
    prepare(r);
    const bound = r.iommufd.bind(r.nic);
    expect(r.answer(bound.attach(r.ioas))).toBe(expected);
    expect(bound.hwpt === null).toBe(expected !== "ok");
    if (expected === "ok") return;
    expect([r.locked(), r.ioas.space.ranges().length]).toEqual([0, 1]);
  });

  it("with a domain, the same at once; RLIMIT_MEMLOCK is ENOMEM", () => {
    const r = rig(1, { lockedPagesMax: 3 });
    expect(r.answer(r.map())).toBe("ENOMEM@map");
    expect(r.answer(r.map({ userVa: 0x1000n }))).toBe("EFAULT@map");
    expect(r.answer(r.map({ length: 0x1001n }))).toBe("EINVAL@map");
    expect(r.answer(r.map({ userVa: VA + 1n, length: 0x1000n }))).toBe("EINVAL@map");
    expect(r.locked()).toBe(0);
  });

  it("no memory for tables: ENOMEM at the map and at the attach, and nothing is left", () => {
    const scattered = rig(0, { tablesMax: 12 });
    scattered.run(scattered.ioas.allocHwpt(scattered.nic));
    let told = "ok";
    let iova = 0n;
    for (let i = 0; told === "ok" && i < 16; i++)
      told = scattered.answer(scattered.map({ iova: (iova += 2n ** 39n), length: 4096n }));
    expect(told).toBe("ENOMEM@map");
    expect(scattered.answer(scattered.ioas.allocHwpt(scattered.nic))).toBe("ENOMEM@map");
  });
});

it("a table that refuses the second piece: the first goes, the pins too, and the IOVA is free", () => {
  const r = rig(1);
  // Two pages that do not lie side by side.
  const { table } = ([...r.ioas.hwpts] as [Hwpt])[0].domain;
  const map = table.map.bind(table);
  let maps = 0;
  table.map = (...args) => {
    if (++maps === 2) throw new DmaBufError("ENOMEM", { op: "iommu_map", stage: "map", message: "told to fail" });
    map(...args);
  };
  expect(r.answer(r.map({ length: 0x2000n }))).toBe("ENOMEM@map");
  expect([r.write(IOVA, pattern(1)), r.locked(), r.ioas.space.areaCount]).toEqual(["fault", 0, 0]);
  expect([r.answer(r.map({ length: 0x2000n })), r.write(IOVA, pattern(1))]).toEqual(["ok", "done"]);
});

it("pages are unpinned when the IOTLB is flushed, and not before", () => {
  const r = rig(1);
  r.run(r.map());
  r.write(IOVA, pattern(1));
  const { domain } = ([...r.ioas.hwpts] as [Hwpt])[0];
  const flush = domain.flush.bind(domain);
  const locked: number[] = [];
  domain.flush = function* () {
    yield* flush();
    locked.push(r.locked());
  };
  r.run(r.ioas.unmap(IOVA, LENGTH));
  expect([locked, r.locked()]).toEqual([[PAGES], 0]);
});

it("a leaf is as large as memory and alignment allow, and 4 KiB where huge pages are off", () => {
  const MIB2 = 2 ** 21;
  const leaves = (hugePages: boolean): number[] => {
    const w = machineWorld("linux-7.3");
    const fd = w.memfds.create(MIB2, { pageBytes: MIB2 });
    const ioas = w.iommufd.createIoas();
    w.run(ioas.setHugePages(hugePages));
    const hwpt = w.run(ioas.allocHwpt(w.nic));
    w.run(ioas.mapFile({ flags: MAP.FIXED_RW, iova: IOVA, length: BigInt(MIB2), file: fd, start: 0n }));
    const { table } = hwpt.domain as never as { table: { leaves(): Iterable<{ sizeBytes: number }> } };
    return [...table.leaves()].map((leaf) => leaf.sizeBytes);
  };
  expect(leaves(true)).toEqual([MIB2]);
  expect(leaves(false)).toEqual(Array.from({ length: 512 }, () => PAGE));
});

/** What went before a refusal is gone all the same. */
function unmapSome(r: Rig, iova: bigint, length: bigint): void {
  r.scheduler.spawn("unmap", r.ioas.unmap(iova, length));
  r.scheduler.run();
}

it("whatever is mapped, copied, attached and unmapped, each page is pinned once and in the end none", () => {
  const act = fc.record({
    what: fc.constantFrom("map", "copy", "unmap", "attach", "destroy"),
    from: fc.integer({ min: 0, max: PAGES - 1 }),
    pages: fc.integer({ min: 1, max: PAGES }),
    to: fc.integer({ min: 0, max: 15 }),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 24 }), (acts) => {
      const r = rig(0);
      const hwpts: number[] = [];
      for (const { what, from, pages, to } of acts) {
        const [at, length] = [BigInt(to * PAGE), BigInt(pages * PAGE)];
        const source = { src: r.ioas, srcIova: BigInt(from * PAGE) };
        if (what === "map") r.answer(r.map({ iova: at, userVa: VA + BigInt(from * PAGE), length }));
        else if (what === "copy") r.answer(r.ioas.copy({ flags: MAP.FIXED_RW, iova: at, length, ...source }));
        else if (what === "unmap") unmapSome(r, at, length);
        else if (what === "attach") {
          const before = r.iommufd.objects.size;
          if (r.answer(r.ioas.allocHwpt(r.nic)) === "ok") hwpts.push(before + 1);
        } else if (hwpts.length > 0) r.run(r.iommufd.objects.destroy(hwpts.pop() as number));
        if (hwpts.length === 0) expect(r.locked()).toBe(0);
      }
      r.run(r.iommufd.close());
      expect(r.locked()).toBe(0);
      expect(r.machine.resources.read()).toMatchObject({ tables: expect.any(Number), memfdPins: 0 });
    }),
    { numRuns: 60 },
  );
});
