import { addr, type DmaAddr, type Iova, type PhysAddr } from "@dma-buf/core";
import { type PciFunction, t1 } from "@dma-buf/pci";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FORMAT_OF } from "../iommu/kind.js";
import { BAR, bytes, RAM, rig } from "../testing.js";
import { IovaAllocator } from "./iova.js";
import { reservedRegions } from "./reserved.js";

const G4 = 0x1_0000_0000;
const { topology, importers } = t1({ busOffsetBytes: 0x10_0000_0000 });
const nic = topology.get(importers[0] as string);

it("hands out the highest below 4 GiB first, aligned to the size, and then what is above", () => {
  const iovas = new IovaAllocator({ last: 2 ** 48 - 1, reserved: [] });
  expect(iovas.alloc(1)).toBe(G4 - 0x1000);
  expect(iovas.alloc(0x3000)).toBe(G4 - 0x4000);
  expect(iovas.alloc(2 ** 32)).toBe(2 ** 48 - 2 ** 32);
  // Once below 4 GiB was refused, it is not tried again.
  expect(iovas.alloc(4096)).toBe(2 ** 48 - 2 ** 32 - 4096);
});

it("refuses beyond the limit by its name, and takes back only what it gave", () => {
  const iovas = new IovaAllocator({ last: 0x1fff, reserved: [] });
  const only = iovas.alloc(4096);
  expect(only).toBe(0x1000);
  expect(() => iovas.alloc(4096)).toThrow(/ENOMEM.* 4096 bytes .*0x1fff/);
  iovas.free(only);
  expect(() => iovas.free(only)).toThrow(RangeError);
  expect(iovas.alloc(4096)).toBe(only);
});

it("reserved are the interrupt window, what bridges claim by bus number, AMD's range, and firmware's", () => {
  const direct = [
    { device: nic.address, base: RAM, sizeBytes: 4096 },
    { device: "0000:03:00.0", base: RAM, sizeBytes: 1 },
  ];
  const regions = reservedRegions(topology, nic, "amd-vi", direct);
  expect(regions.map(({ kind, base, sizeBytes }) => [kind, base, sizeBytes])).toEqual([
    ["msi", 0xfee0_0000, 0x10_0000],
    ["hyper-transport", 0xfd_0000_0000, 0x3_0000_0000],
    ["window", BAR - 0x10_0000_0000, 2 ** 30],
    ["window", 0x40_0000_0000, 2 ** 20],
    ["direct", RAM, 4096],
  ]);
  expect(reservedRegions(topology, nic, "vt-d", []).map((r) => r.kind)).toEqual(["msi", "window", "window"]);
});

it("reserved is what functions on the root bus claim as memory, their own BARs too, and no I/O", () => {
  const claim = (fn: PciFunction): PciFunction => {
    if (!fn.address.startsWith("0000:00:") || !fn.bridge) return fn;
    const io = { kind: "io", base: addr<PhysAddr>(0x3000), sizeBytes: 0x1000 } as const;
    const bar = { index: 0, base: addr<PhysAddr>(0x9000_0000), sizeBytes: 0x4000, prefetchable: false } as const;
    const bars = [
      { ...bar, space: "memory", bits: 32, enabled: true },
      { ...bar, index: 1, space: "io", base: addr<PhysAddr>(0x4000), bits: 32, enabled: true },
    ] as const;
    return { ...fn, bars, bridge: { ...fn.bridge, windows: [...fn.bridge.windows, io] } };
  };
  const r = rig({ captured: claim });
  const windows = r.machine.reservedRegions(r.nic).filter(({ kind }) => kind === "window");
  expect(windows.map(({ base }) => base)).toEqual([BAR, 0x50_0000_0000, 0x9000_0000]);
});

it.each(["vt-d", "amd-vi"] as const)("%s: no IOVA is beyond what the table translates", (iommuKind) => {
  const r = rig({ iommu: "translated", machine: { iommuKind } });
  const size = 2 ** 33;
  expect(r.nic.dma.tryAllocIova(addr<PhysAddr>(0), size)?.address).toBe(2 ** FORMAT_OF[iommuKind].vaBits - size);
});

it("what firmware asks for is mapped one to one in the default domain", () => {
  const device = "0000:04:00.0";
  const r = rig({ iommu: "translated", machine: { directRegions: [{ device, base: RAM, sizeBytes: 4096 }] } });
  expect(r.run(r.nic.write(addr<DmaAddr>(RAM), bytes(3))).kind).toBe("done");
  expect(r.machine.memory.read(RAM, 8)).toEqual(bytes(3));
  expect(r.machine.reservedRegions(r.nic).at(-1)).toMatchObject({ kind: "direct", base: RAM });
});

it("firmware's ranges may overlap, and begin and end within pages", () => {
  const device = "0000:04:00.0";
  const at = (base: number, sizeBytes: number) => ({ device, base: addr<PhysAddr>(base), sizeBytes });
  const directRegions = [at(RAM + 0x100, 0x1000), at(RAM + 0x1000, 0x1001)];
  const r = rig({ iommu: "translated", machine: { directRegions } });
  const kinds = [0, 0x1000, 0x2000, 0x3000].map((o) => r.run(r.nic.read(addr<DmaAddr>(RAM + o), 8)).kind);
  expect(kinds).toEqual(["done", "done", "done", "fault"]);
});

describe("whatever is asked for and given back", () => {
  const reserved = [
    { base: 0xfee0_0000, sizeBytes: 0x10_0000 },
    { base: 0x8000_0000, sizeBytes: 0x4000_0000 },
    { base: 0x9000_0000, sizeBytes: 0x1000 },
  ];
  const step = fc.oneof(
    fc.record({ pages: fc.constantFrom(1, 2, 3, 5, 512, 0x4_0000, 0x8_0000) }),
    fc.record({ free: fc.nat() }),
  );
  it("nothing overlaps, nothing is reserved, nothing is beyond the limit, and free restores", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const iovas = new IovaAllocator({ last: 2 ** 34 - 1, reserved });
        const live: { base: Iova; end: number }[] = [];
        for (const todo of steps) {
          if ("free" in todo) {
            const [gone] = live.splice(todo.free % Math.max(1, live.length), 1);
            if (gone) iovas.free(gone.base);
            continue;
          }
          const base = allocated(iovas, todo.pages * 4096);
          if (base === null) continue;
          const end = base + todo.pages * 4096;
          const others = [...live, ...reserved.map((r) => ({ base: r.base, end: r.base + r.sizeBytes }))];
          expect(others.filter((o) => o.base < end && base < o.end)).toEqual([]);
          expect([base > 0, end <= 2 ** 34]).toEqual([true, true]);
          live.push({ base, end });
        }
        expect(iovas.live).toBe(live.length);
        for (const { base } of live) iovas.free(base);
        expect(iovas.alloc(2 ** 33)).toBe(2 ** 33);
      }),
    );
  });
});

/** `null`: none is left. */
function allocated(iovas: IovaAllocator, sizeBytes: number): Iova | null {
  try {
    return iovas.alloc(sizeBytes);
  } catch (error) {
    expect(String(error)).toMatch(/ENOMEM/);
    return null;
  }
}

it("a default domain keeps clear of what is reserved", () => {
  const r = rig({ iommu: "translated" });
  const size = 0x100_0000;
  const map = (): number => r.nic.dma.mapPhys(addr<PhysAddr>(0x4000_0000), size, "bidirectional", { mmio: false });
  // The interrupt window lies in the second 16 MiB from the top.
  expect([map(), map()]).toEqual([0xff00_0000, 0xfd00_0000]);
});
