import { addr, type DmaAddr, type Gpa, type Op, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";
import type { PciFunction } from "@dma-buf/pci";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import type { MachineDevice } from "./device.js";
import { GuestVm } from "./guest.js";
import { MachineDomain } from "./iommufd-domain.js";
import type { IommuDomain } from "./iommu/domain.js";
import type { IommuKind } from "./iommu/kind.js";
import { FORMAT_OF } from "./iommu/kind.js";
import { BAR, bytes, RAM, type Rig, rig } from "./testing.js";

/** Places that mappings may lead to. */
const PLACES = [RAM, addr<PhysAddr>(RAM + PAGE_SIZE), BAR, addr<PhysAddr>(BAR + 0x10_0000)];

/** As many as {@link actors} makes. */
const ACTORS = 5;

/** One way to a place: how to write there and how to read. */
interface Way {
  readonly place: number;
  write(offset: number, value: number): string;
  read(offset: number): number | string;
}

/** A device in its default domain, two in one IOAS of which one has ATS, a CPU, and a guest. */
function actors(kind: IommuKind): readonly ((place: number) => Way)[] {
  const captured = (fn: PciFunction): PciFunction => ({ ...fn, ats: { enabled: false, queueDepth: 0 } });
  const r = rig({ base: "T2", iommu: "translated", machine: { iommuKind: kind }, captured });
  const own = r.nic;
  const ioas = new MachineDomain(r.machine, "IOAS");
  const inIoas = ["0000:03:00.0", "0000:01:00.0"].map((at) => r.machine.device(at));
  for (const device of inIoas) ioas.attachDevice(device);
  r.machine.iommuUnit.enableAts(r.gpu);
  const vm = new GuestVm(r.machine, "guest", false);
  const cpu = new Cpu(r.machine, "CPU 0");
  let next = 0x10_0000_0000;
  const fresh = (): number => (next += 2 * PAGE_SIZE);
  const shared = new Map<number, number>();
  const iovaOf = (place: number): number => {
    let iova = shared.get(place);
    if (iova === undefined) {
      shared.set(place, (iova = fresh()));
      ioas.table.map(iova, PLACES[place] as PhysAddr, PAGE_SIZE, { read: true, write: true });
    }
    return iova;
  };
  return [
    (place) => {
      const mmio = place >= 2;
      return byDevice(r, own, place, own.dma.mapPhys(PLACES[place] as PhysAddr, PAGE_SIZE, "bidirectional", { mmio }));
    },
    ...inIoas.map((device) => (place: number) => byDevice(r, device, place, iovaOf(place))),
    (place) => {
      const va = fresh();
      cpu.map(va, PLACES[place] as PhysAddr, PAGE_SIZE, { cache: "uc" });
      return way(
        r,
        place,
        va,
        (at, b) => cpu.write(at, b),
        (at) => cpu.read(at, 1),
      );
    },
    (place) => {
      const gpa = fresh();
      vm.table.map(gpa, PLACES[place] as PhysAddr, PAGE_SIZE, { read: true, write: true });
      return way(
        r,
        place,
        gpa,
        (at, b) => vm.write(addr<Gpa>(at), b),
        (at) => vm.read(addr<Gpa>(at), 1),
      );
    },
  ];
}

function byDevice(r: Rig, device: MachineDevice, place: number, base: number): Way {
  const at = (address: number): DmaAddr => addr<DmaAddr>(address);
  return way(
    r,
    place,
    base,
    (a, b) => device.write(at(a), b),
    (a) => device.read(at(a), 1),
  );
}

type Ended = { readonly kind: string; readonly bytes?: Uint8Array };

function way(
  r: Rig,
  place: number,
  base: number,
  write: (at: number, bytes: Uint8Array) => Op<Ended>,
  read: (at: number) => Op<Ended>,
): Way {
  return {
    place,
    write: (offset, value) => r.run(write(base + offset, bytes(value, 1))).kind,
    read: (offset) => {
      const { kind, bytes: got } = r.run(read(base + offset));
      return kind === "done" ? (got?.[0] as number) : kind;
    },
  };
}

describe.each<IommuKind>(["vt-d", "amd-vi"])("%s", (kind) => {
  it("a byte that anybody wrote is read by every way to its place, and by no other", () => {
    const write = fc.record({
      by: fc.nat(),
      offset: fc.constantFrom(0, 7, 4095),
      value: fc.integer({ min: 1, max: 255 }),
    });
    const mapping = fc.record({ actor: fc.nat({ max: ACTORS - 1 }), place: fc.nat({ max: PLACES.length - 1 }) });
    fc.assert(
      fc.property(
        fc.array(mapping, { minLength: 2, maxLength: 8 }),
        fc.array(write, { minLength: 1, maxLength: 8 }),
        (mappings, writes) => {
          const all = actors(kind);
          const ways = mappings.map(({ actor, place }) => all[actor]?.(place) as Way);
          const expected = new Map<string, number>();
          for (const { by, offset, value } of writes) {
            const chosen = ways[by % ways.length] as Way;
            expect(chosen.write(offset, value)).toBe("done");
            expected.set(`${chosen.place} ${offset}`, value);
            for (const other of ways)
              for (const at of [0, 7, 4095])
                expect([other.place, at, other.read(at)]).toEqual([
                  other.place,
                  at,
                  expected.get(`${other.place} ${at}`) ?? 0,
                ]);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it.each([false, true])("ATS %s: after unmap and flush nothing is reached; before, what is cached is", (hasAts) => {
    const step = fc.record({
      do: fc.constantFrom("map", "unmap", "flush", "flush-iotlb", "read"),
      slot: fc.nat({ max: 2 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const on = new Caches(kind, hasAts);
        for (const todo of steps) expect([todo, on.step(todo.do, todo.slot)]).toEqual([todo, on.expected]);
        on.step("flush", 0);
        for (const slot of [0, 1, 2]) expect(on.step("read", slot)).toBe(on.mapped.has(slot) ? "done" : "fault");
      }),
      { numRuns: 60 },
    );
  });
});

/** A table, an IOTLB, perhaps an ATC; and sets that say what each should hold. */
class Caches {
  readonly mapped = new Set<number>();
  /** What the last step should have given. */
  expected = "";
  readonly #iotlb = new Set<number>();
  readonly #atc = new Set<number>();
  readonly #hasAts: boolean;
  readonly #rig: Rig;
  readonly #table: PageTable;
  readonly #domain: IommuDomain;

  constructor(kind: IommuKind, hasAts: boolean) {
    const ats = { enabled: false, queueDepth: 0 };
    this.#hasAts = hasAts;
    this.#rig = rig({ iommu: "translated", captured: (fn) => ({ ...fn, ats }), machine: { iommuKind: kind } });
    const { machine, nic } = this.#rig;
    this.#table = machine.pageTable("test", FORMAT_OF[kind]);
    this.#domain = machine.iommuUnit.createDomain("test", this.#table);
    machine.attachDomain(nic, this.#domain);
    if (hasAts) machine.iommuUnit.enableAts(nic.fn);
  }

  step(what: string, slot: number): string {
    const { machine, run } = this.#rig;
    const iova = 0x10_0000 + slot * 2 * PAGE_SIZE;
    this.expected = "";
    if (what === "read") return this.#read(slot, iova);
    if (what === "map" && !this.mapped.has(slot)) {
      this.mapped.add(slot);
      this.#table.map(iova, RAM, PAGE_SIZE, { read: true, write: true });
    }
    if (what === "unmap" && this.mapped.delete(slot)) this.#table.unmap(iova, PAGE_SIZE);
    if (what.startsWith("flush")) this.#iotlb.clear();
    if (what === "flush-iotlb") machine.iommuUnit.flushIotlb(this.#domain);
    if (what === "flush") {
      this.#atc.clear();
      run(machine.iommuUnit.flush(this.#domain));
    }
    return "";
  }

  #read(slot: number, iova: number): string {
    const isAnswered = this.#iotlb.has(slot) || this.mapped.has(slot);
    this.expected = this.#atc.has(slot) || isAnswered ? "done" : "fault";
    if (!this.#atc.has(slot) && isAnswered) {
      this.#iotlb.add(slot);
      if (this.#hasAts) this.#atc.add(slot);
    }
    return this.#rig.run(this.#rig.nic.read(addr<DmaAddr>(iova), 8)).kind;
  }
}
