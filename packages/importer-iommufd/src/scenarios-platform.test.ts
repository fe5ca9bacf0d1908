/** Cells of the catalogue in which the platform or the VMM has a part, on the machine: one test a scenario, by its id. */
import { addr, type DmaBufOps, type Pfn, type PhysAddr } from "@dma-buf/core";
import type { Protection } from "@dma-buf/page-table";
import { describe, expect, it } from "vitest";
import { domainOf, IOVA, rig } from "./testing/attached-world.js";
import { BAR, PAGE, pattern, SERVING } from "./testing/machine-world.js";

describe("S32: a BAR that is private to a VM, for which the IOMMU has the plain address", () => {
  it.each(SERVING)(
    "%s: the map succeeds; the device refuses the write (a), or the platform lets it through (b)",
    (id) => {
      const a = rig(id);
      a.machine.private.add({ base: BAR, sizeBytes: 4 * PAGE, owner: "vm", trusted: [] });
      a.run(a.map(a.bar()));
      expect([a.write(IOVA, pattern(1)), a.machine.memory.read(BAR, 16)]).toEqual(["lost", new Uint8Array(16)]);
      const b = rig(id);
      b.run(b.map(b.bar()));
      expect([b.write(IOVA, pattern(1)), b.machine.memory.read(BAR, 16)]).toEqual(["done", pattern(1)]);
    },
  );
});

describe("S58: cacheable device memory", () => {
  // The IOMMUs here have tables without memory types: (d) is OK for all. What a table with types would be told decides (c).
  const told = { vma: "uc", pfn: "uc", "pfn-locked": "uc", "annotated-address": "uc", "linux-7.3": "uc" };
  it.each(Object.entries(told))(
    "%s: a BAR goes into the domain as %s, whatever its owner wants; bytes arrive",
    (id, cache) => {
      const r = rig(id);
      r.machine.attributes.declare({ base: BAR, sizeBytes: 4 * PAGE, type: "wb" });
      const written: Protection[] = [];
      const { table } = domainOf(r);
      const map = table.map.bind(table);
      table.map = (va, physical, sizeBytes, protection) => {
        written.push(protection);
        map(va, physical, sizeBytes, protection);
      };
      r.run(r.map(r.bar()));
      expect(written).toEqual([{ read: true, write: true, cache }]);
      expect([r.write(IOVA, pattern(1)), r.machine.memory.read(BAR, 16)]).toEqual(["done", pattern(1)]);
    },
  );

  it("vma: so does the mapping, by its protection; one that says nothing goes by the frame", () => {
    const r = rig("vma");
    const written: unknown[] = [];
    const { table } = domainOf(r);
    const map = table.map.bind(table);
    table.map = (va, physical, sizeBytes, protection) => {
      written.push(protection.cache);
      map(va, physical, sizeBytes, protection);
    };
    for (const cache of ["wb", "wc", "uc", null] as const) {
      const mine: DmaBufOps = {
        mmap(_buf, vma) {
          if (cache) vma.cache = cache;
          vma.fault = () => ({ pfn: addr<Pfn>(BAR / PAGE), maxOrder: 0 });
        },
        release() {},
      };
      const buf = r.fw.export({ exporterName: String(cache), sizeBytes: PAGE, priv: mine, ops: mine });
      r.run(r.map(buf, { iova: IOVA + BigInt(written.length * PAGE) }));
    }
    expect(written).toEqual(["wb", "wc", "uc", "uc"]);
  });

  it("annotated-address: the exporter can say cacheable, and the domain is told so", () => {
    const r = rig("annotated-address");
    const { ops } = r.bar();
    const written: unknown[] = [];
    const { table } = domainOf(r);
    const map = table.map.bind(table);
    table.map = (va, physical, sizeBytes, protection) => {
      written.push(protection.cache);
      map(va, physical, sizeBytes, protection);
    };
    for (const cache of ["wb", "wc", "uc"] as const) {
      const run = {
        kind: "cpu-physical",
        offset: 0,
        sizeBytes: PAGE,
        address: addr<PhysAddr>(BAR),
        attributes: { cache, snoop: false },
      } as const;
      const mine = { ...ops, attach() {}, mapDmaBuf: () => ({ runs: [run] }), unmapDmaBuf() {}, release() {} };
      const buf = r.fw.export({ exporterName: cache, sizeBytes: PAGE, priv: mine, ops: mine });
      r.run(r.map(buf, { iova: IOVA + BigInt(written.length * PAGE) }));
    }
    expect(written).toEqual(["wb", "wc", "uc"]);
  });
});

describe("S63: the guest moves a BAR", () => {
  const MOVED = IOVA + 0x1000_0000n;
  it.each(SERVING)(
    "%s: reached where it was until the VMM unmaps, which nobody tells it to; then where it is",
    (id) => {
      const r = rig(id);
      const buf = r.bar();
      r.run(r.map(buf));
      r.run(r.map(buf, { iova: MOVED }));
      expect([r.write(IOVA, pattern(1)), r.machine.memory.read(BAR, 16)]).toEqual(["done", pattern(1)]);
      r.run(r.ioas.unmap(IOVA, 0x4000n));
      expect([r.write(IOVA, pattern(2)), r.write(MOVED, pattern(3))]).toEqual(["fault", "done"]);
      expect(r.machine.memory.read(BAR, 16)).toEqual(pattern(3));
    },
  );
});

describe("S67c: a late write, where the DMA API flushes lazily", () => {
  it.each(SERVING)("%s: what was cached is gone when the revoke returns", (id) => {
    const r = rig(id, { flush: "lazy" });
    r.run(r.map(r.bar()));
    expect(r.write(IOVA, pattern(1))).toBe("done");
    r.run(r.vfio.revoke());
    expect([r.write(IOVA, pattern(2)), r.machine.memory.read(BAR, 16)]).toEqual(["fault", pattern(1)]);
  });

  it.each(SERVING)("%s: without iommufd's own flush, as a queued one, it is late and arrives", (id) => {
    const r = rig(id, { flush: "lazy", importer: { guards: { flush: false } } });
    r.run(r.map(r.bar()));
    r.write(IOVA, pattern(1));
    r.run(r.vfio.revoke());
    expect([r.write(IOVA, pattern(2)), r.machine.memory.read(BAR, 16)]).toEqual(["done", pattern(2)]);
  });
});

describe("S68b: the exporter's function is pulled out", () => {
  it.each(SERVING)("%s: nobody takes the write; the close revokes, and then it faults", (id) => {
    const r = rig(id);
    const buf = r.bar();
    r.run(r.map(buf));
    r.machine.functions.unplug(r.machine.topology.get(r.vfio.name));
    expect(r.write(IOVA, pattern(1))).toBe("lost");
    r.run(r.vfio.close());
    expect(r.write(IOVA, pattern(1))).toBe("fault");
    expect(r.run(r.ioas.unmap(IOVA, 0x4000n))).toBe(0x4000n);
    r.run(r.fw.put(buf));
  });
});
