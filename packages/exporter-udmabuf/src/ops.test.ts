/** What importers and CPU mappings get of pages that stay. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, type Direction, type DmaAddr, PAGE_SIZE, type PhysAddr, type Vma } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FolioRange } from "./host.js";
import { bytes, item, type Rig, rig, VARIANTS } from "./host.test.js";

const HUGE = 2 ** 21;
/** RAM that a device with 30 address bits does not reach. */
const HIGH = { ram: { base: addr<PhysAddr>(0x5000_0000), sizeBytes: 2 ** 24 } };
const MAPPING = ["dma-address", "annotated-address", "linux-7.3"];

const mapFor = (
  r: Rig,
  buf: ReturnType<Rig["exporter"]["create"]>,
  device = r.nic,
  direction: Direction = "bidirectional",
) => {
  const at = r.run(r.fw.staticAttach(buf, device, "imp"));
  const table = r.run(r.fw.mapAttachmentUnlocked(at, direction));
  return { at, table, runs: [...table.runs], unmap: () => r.run(r.fw.unmapAttachmentUnlocked(at, table, direction)) };
};

describe("map", () => {
  it.each(MAPPING)("%s: a new table each time, neighbours merged, with the pages of the CPU half", (variant) => {
    const r = rig({ variant });
    const fd = r.file(1024, HUGE);
    const file = r.memfds.memfd(fd);
    const [{ physical }] = file.ranges(0, 4096) as readonly [FolioRange];
    // The second huge page lies behind the first; page 0 comes again at the end.
    const buf = r.exporter.create([item(fd, 510, 4), item(fd, 0, 1)]);
    const before = r.out();
    const one = mapFor(r, buf);
    const two = r.run(r.fw.mapAttachmentUnlocked(one.at, "bidirectional"));
    expect(two).not.toBe(one.table);
    expect(one.runs.map(({ offset, sizeBytes, address }) => [offset, sizeBytes, address])).toEqual([
      [0, 4 * PAGE_SIZE, physical + 510 * PAGE_SIZE],
      [4 * PAGE_SIZE, PAGE_SIZE, physical],
    ]);
    expect(one.table.pages).toEqual([510, 511, 512, 513, 0].map((page) => physical / PAGE_SIZE + page));
    expect(r.exporter.ledger.tables).toBe(2);
    r.run(r.fw.unmapAttachmentUnlocked(one.at, two, "bidirectional"));
    one.unmap();
    r.run(r.fw.detachAttachment(buf, one.at));
    expect(r.out()).toEqual(before);
  });

  it("annotated-address: says where it is valid, cacheable and snooped; without a device it is a CPU's", () => {
    const r = rig({ variant: "annotated-address" });
    const buf = r.exporter.create([item(r.file(3), 0, 2)]);
    const attributes = { cache: "wb", snoop: true };
    expect(mapFor(r, buf).runs).toMatchObject([
      { kind: "pci-bus", attributes },
      { kind: "pci-bus", attributes },
    ]);
    const none = mapFor(r, buf, null as never);
    expect(none.runs).toMatchObject([
      { kind: "cpu-physical", offset: 0, attributes },
      { kind: "cpu-physical", offset: PAGE_SIZE, attributes },
    ]);
    none.unmap();
    const t = rig({ variant: "annotated-address", machine: { iommu: "translated" } });
    expect(mapFor(t, t.exporter.create([item(t.file(1), 0, 1)])).runs).toMatchObject([{ kind: "iova", attributes }]);
  });

  it("annotated-address: a device that is in no space is EINVAL, and nothing stays mapped", () => {
    const r = rig({ variant: "annotated-address" });
    const { dma, name } = r.nic;
    const nowhere = { dma, name, spaces: [], read: r.nic.read.bind(r.nic), write: r.nic.write.bind(r.nic) };
    const at = r.run(r.fw.staticAttach(r.exporter.create([item(r.file(1), 0, 1)]), nowhere, "imp"));
    const before = r.out();
    expect(refusal(() => r.run(r.fw.mapAttachmentUnlocked(at, "to-device")))).toBe("EINVAL@map");
    expect(r.out()).toEqual(before);
  });

  it.each(MAPPING)("%s: ENOMEM leaves nothing", (variant) => {
    const r = rig({ variant, allocFails: (op) => op === "sg_alloc_table_from_pages" });
    const buf = r.exporter.create([item(r.file(2), 0, 2)]);
    const at = r.run(r.fw.staticAttach(buf, r.nic, "imp"));
    const before = r.out();
    expect(refusal(() => r.run(r.fw.mapAttachmentUnlocked(at, "to-device")))).toBe("ENOMEM@map");
    expect(r.out()).toEqual(before);
  });

  it("DMABUF_DEBUG hides the pages, and the table is given back all the same", () => {
    const r = rig({ debug: true });
    const one = mapFor(r, r.exporter.create([item(r.file(1), 0, 1)]));
    expect(one.table.pages).toBeUndefined();
    one.unmap();
    expect(r.exporter.ledger.tables).toBe(0);
  });
});

describe("a device that does not reach the pages", () => {
  const narrow = (variant: string, asPosted: boolean): Rig =>
    rig({ variant, options: { asPosted }, machine: { dmaMaskBits: 30 }, memfds: HIGH });

  it.each(["dma-address", "linux-7.3"])(
    "%s as posted: gets a copy, and what it writes is seen by nobody: STALE",
    (variant) => {
      const r = narrow(variant, true);
      const fd = r.file(1);
      const buf = r.exporter.create([item(fd, 0, 1)]);
      const { runs, unmap } = mapFor(r, buf);
      expect(runs[0]?.address).toBeLessThan(2 ** 30);
      r.run(r.nic.write(runs[0]?.address as DmaAddr, bytes(9)));
      expect(r.memfds.memfd(fd).read(0, 8)).toEqual(bytes(0));
      // The CPU's sync is not the device's: the driver knows only its own.
      r.run(r.fw.beginAccess(buf, "from-device"));
      expect(r.memfds.memfd(fd).read(0, 8)).toEqual(bytes(0));
      unmap();
      expect(r.memfds.memfd(fd).read(0, 8)).toEqual(bytes(0));
      expect(r.machine.resources.read()).toMatchObject({ swiotlbSlots: 0 });
    },
  );

  it.each([
    ["more than a bounce buffer holds", { dmaMaskBits: 30 }, 64],
    ["not even the bounce buffers are reached", { dmaMaskBits: 20 }, 1],
  ])("as posted: %s: EIO, whatever the reason", (_why, machine, pages) => {
    const r = rig({ options: { asPosted: true }, machine, memfds: HIGH });
    const fd = r.file(512, HUGE);
    const buf = r.exporter.create([item(r.file(1), 0, 1), item(fd, 0, pages + 1)]);
    const at = r.run(r.fw.staticAttach(buf, r.nic, "imp"));
    const before = r.out();
    expect(refusal(() => r.run(r.fw.mapAttachmentUnlocked(at, "to-device")))).toBe("EIO@map");
    expect(r.out()).toEqual(before);
  });

  it.each([false, true])(
    "behind an IOMMU nothing bounces, and no page table left is ENOMEM (as posted: %s)",
    (asPosted) => {
      const map = (tablesMax: number): string => {
        const r = rig({
          options: { asPosted },
          machine: { iommu: "translated", dmaMaskBits: 30, tablesMax },
          memfds: HIGH,
        });
        const at = r.run(r.fw.staticAttach(r.exporter.create([item(r.file(1), 0, 1)]), r.nic, "imp"));
        const before = r.out();
        const said = refusal(() => r.run(r.fw.mapAttachmentUnlocked(at, "to-device")));
        if (said !== "ok") expect(r.out()).toEqual(before);
        return said;
      };
      expect([map(4), map(16)]).toEqual(["ENOMEM@map", "ok"]);
    },
  );

  it.each(MAPPING)("%s conforming: is refused with EIO at map, the pages before it are given back", (variant) => {
    const r = narrow(variant, false);
    const buf = r.exporter.create([item(r.file(3), 0, 3)]);
    const at = r.run(r.fw.staticAttach(buf, r.nic, "imp"));
    const before = r.out();
    expect(refusal(() => r.run(r.fw.mapAttachmentUnlocked(at, "to-device")))).toBe("EIO@map");
    expect(r.out()).toEqual(before);
  });

  it("under PFNs the importer maps, and syncs what bounced itself", () => {
    const r = rig({ variant: "pfn", machine: { dmaMaskBits: 30 }, memfds: HIGH });
    const fd = r.file(1);
    const at = r.run(r.fw.staticAttach(r.exporter.create([item(fd, 0, 1)]), null, "imp"));
    const { pfn } = r.run(r.fw.getPfnUnlocked(at, 0));
    const address = r.nic.dma.mapPhys(addr(pfn * PAGE_SIZE), PAGE_SIZE, "from-device", { mmio: false });
    r.run(r.nic.write(address, bytes(9)));
    r.nic.dma.syncForCpu(address, PAGE_SIZE);
    expect(r.memfds.memfd(fd).read(0, 8)).toEqual(bytes(9));
  });
});

describe("page frames", () => {
  const ask = (r: Rig, at: Parameters<Rig["fw"]["getPfnUnlocked"]>[0], pgoff: number) =>
    r.run(
      (function* () {
        if (!r.fw.contract.rows.getPfnAttachment) return yield* r.fw.getPfnUnlocked(at, pgoff);
        using held = yield* at.buf.resv.lock();
        return yield* r.fw.getPfnAttachment(at, pgoff, held);
      })(),
    );

  it.each(["pfn", "pfn-locked"])("%s: each is the frame of the byte at that place, whatever the list", (variant) => {
    const r = rig({ variant });
    const [small, huge] = [r.file(16), r.file(1024, HUGE)];
    for (const [fd, pages] of [
      [small, 16],
      [huge, 1024],
    ] as const)
      for (let page = 0; page < pages; page++)
        r.memfds.memfd(fd).write(page * PAGE_SIZE, new Uint8Array([fd, page & 255, page >> 8]));
    const slice = fc.oneof(
      fc
        .tuple(fc.constant(small), fc.nat(15), fc.integer({ min: 1, max: 16 }))
        .map(([fd, at, n]) => item(fd, at, Math.min(n, 16 - at))),
      fc
        .tuple(fc.constant(huge), fc.nat(1023), fc.integer({ min: 1, max: 40 }))
        .map(([fd, at, n]) => item(fd, at, Math.min(n, 1024 - at))),
    );
    fc.assert(
      fc.property(fc.array(slice, { minLength: 1, maxLength: 5 }), (items) => {
        const buf = r.exporter.create(items);
        const at = r.run(r.fw.staticAttach(buf, null, "imp"));
        const wanted = items.flatMap(({ memfd, offset, sizeBytes }) =>
          Array.from({ length: sizeBytes / PAGE_SIZE }, (_, i) => [memfd, offset / PAGE_SIZE + i]),
        );
        const answers = wanted.map((_, pgoff) => ask(r, at, pgoff));
        const seen = answers.map(({ pfn }) => r.machine.memory.read(pfn * PAGE_SIZE, 3));
        expect(seen).toEqual(wanted.map(([fd = 0, page = 0]) => new Uint8Array([fd, page & 255, page >> 8])));
        for (const [pgoff, { pfn, maxOrder }] of answers.entries()) {
          const first = pgoff - (pfn % 2 ** maxOrder);
          for (let i = 0; i < 2 ** maxOrder; i++) expect(answers[first + i]?.pfn).toBe(pfn - pgoff + first + i);
        }
        for (const page of [answers.length, -1, 0.5, NaN]) expect(refusal(() => ask(r, at, page))).toBe("EINVAL@query");
        r.run(r.fw.detachAttachment(buf, at));
        r.run(r.fw.put(buf));
      }),
      { numRuns: 30 },
    );
    expect(r.exporter.ledger).toEqual({ buffers: 0, tables: 0, pins: 0 });
  });

  it.each([
    [HUGE, 9],
    [2 ** 30, 18],
  ])("a huge page of %i bytes is of order %i", (pageBytes, order) => {
    const r = rig({ variant: "pfn" });
    const fd = r.file(pageBytes / PAGE_SIZE, pageBytes);
    const at = r.run(r.fw.staticAttach(r.exporter.create([item(fd, 0, pageBytes / PAGE_SIZE)]), null, "imp"));
    expect(ask(r, at, 0).maxOrder).toBe(order);
    expect(ask(r, at, pageBytes / PAGE_SIZE - 1).maxOrder).toBe(order);
  });

  it("a slice of a huge page is as large as what lies inside it", () => {
    const r = rig({ variant: "pfn" });
    const fd = r.file(512, HUGE);
    const at = r.run(r.fw.staticAttach(r.exporter.create([item(fd, 1, 511)]), null, "imp"));
    expect([0, 1, 2, 3, 255].map((pgoff) => ask(r, at, pgoff).maxOrder)).toEqual([0, 1, 1, 2, 8]);
  });
});

describe("mmap", () => {
  const map = (r: Rig, pgoff: number, pages: number): Vma => {
    const buf = r.exporter.create([item(r.file(512, HUGE), 0, 8)]);
    return r.run(r.fw.mmapFile(buf, { pgoff, pages, buf: null, fault: null }));
  };

  it.each(VARIANTS)("$name: a fault tells the frame, and beyond the mapping it is SIGBUS", ({ name }) => {
    const r = rig({ variant: name });
    const vma = map(r, 4, 3);
    const answer = vma.fault?.(1) as { pfn: number; maxOrder: number };
    expect([answer.pfn % 512, answer.maxOrder]).toEqual([5, 1]);
    // Page 6 is shown and page 7 is not.
    expect(vma.fault?.(2)).toMatchObject({ maxOrder: 0 });
    for (const page of [3, 4, 100, -1, 0.5, NaN]) expect(refusal(() => vma.fault?.(page))).toBe("EFAULT@mmap");
    r.run(r.fw.munmap(vma));
  });

  it("a private mapping is refused, and holds nothing", () => {
    const r = rig({ variant: "linux-7.3" });
    const buf = r.exporter.create([item(r.file(4), 0, 4)]);
    const before = [buf.refs, r.fw.ledger, r.exporter.ledger];
    const shown = { pgoff: 0, pages: 1, isPrivate: true, buf: null, fault: null };
    expect(refusal(() => r.run(r.fw.mmapFile(buf, shown)))).toBe("EINVAL@mmap");
    expect([buf.refs, r.fw.ledger, r.exporter.ledger]).toEqual(before);
  });

  it("as posted, page tables get base pages whatever lies behind them", () => {
    const r = rig({ variant: "vma", options: { asPosted: true } });
    expect(map(r, 0, 8).fault?.(1)).toMatchObject({ maxOrder: 0 });
  });

  it.each(["pfn", "pfn-locked", "annotated-address"])(
    "%s was not posted: asPosted, asked for without types, is not read",
    (variant) => {
      const r = rig({ variant, options: { asPosted: true } });
      expect(map(r, 0, 8).fault?.(1)).not.toMatchObject({ maxOrder: 0 });
      expect(() => rig({ variant, options: { asPosted: true, movable: true } })).not.toThrow();
    },
  );
});
