/** On the modelled machine: a NIC writes through each variant, and the bytes arrive in the BAR, or after a revoke do not. */
import {
  addr,
  annotatedAddress,
  type Contract,
  type Device,
  type DmaBufAttachment,
  dmaAddress,
  Framework,
  type Held,
  linux73,
  type MaySleep,
  type Op,
  perform,
  type PfnAnswer,
  pfn,
  pfnLocked,
  type PhysAddr,
  physOf,
  type Run,
  Scheduler,
  type Vma,
  vma,
  type Window,
  withRuns,
} from "@dma-buf/core";
import { refusal } from "@dma-buf/config/refusal";
import { Cpu, Machine, type MachineOptions, VfioPciDevice } from "@dma-buf/machine";
import { type Bar, type CatalogueOptions, type PciFunction, t1, t2, Topology } from "@dma-buf/pci";
import { describe, expect, it } from "vitest";
import { vfioExporter as annotatedAddressExporter } from "./annotated-address.js";
import { vfioExporter as dmaAddressExporter } from "./dma-address.js";
import type { VfioHost } from "./host.js";
import { vfioExporter as linux73Exporter } from "./linux-7.3.js";
import { vfioExporter as pfnExporter } from "./pfn.js";
import { vfioExporter as pfnLockedExporter } from "./pfn-locked.js";
import { PAGE } from "./testing.js";
import type { VfioFactory } from "./variant.js";
import { vfioExporter as vmaExporter } from "./vma.js";

const BAR = addr<PhysAddr>(0x40_0000_0000);
/** Of the BAR, not in order. */
const PAGES = [7, 2, 4];
const RANGES = PAGES.map((page) => ({ offset: page * PAGE, length: PAGE }));

interface Where {
  readonly base: "T1" | "T2";
  readonly iommu?: MachineOptions["iommu"];
  readonly more?: CatalogueOptions;
}

function world({ base, iommu = "off", more = {} }: Where, factory: VfioFactory, contract: Contract) {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract, scheduler });
  const { topology, exporter: address, importers } = base === "T1" ? t1(more) : t2(more);
  const machine = new Machine({ topology, trace: fw.trace, iommu, rootComplexForwards: true, tablesMax: 64 });
  // Whatever the machine offers fits what this package asks for.
  const host: VfioHost = new VfioPciDevice(machine, address);
  const exporter = factory()(fw, host);
  const run = <T>(op: Op<T>): T => scheduler.complete("test", op);
  return { fw, machine, exporter, run, nic: machine.device(importers[0] as string) };
}

/** A NIC as an importer: it is given runs, writes into every page of them, and lets go when it is told. */
function* importInto({ fw, exporter }: ReturnType<typeof world>, device: Device) {
  const buf = yield* exporter.export({ regionIndex: 0, ranges: RANGES });
  let window: Window | null = null;
  const invalidateMappings = function* (_at: DmaBufAttachment, held: Held): Op<void> {
    yield* window?.drop(held) ?? nothing();
  };
  const at = yield* fw.dynamicAttach(buf, device, { name: "nic", ops: { allowPeer2peer: true, invalidateMappings } });
  window = yield* fw.open(at, "bidirectional");
  const runs = yield* withRuns(at, window, 0, buf.sizeBytes, function* (seen): Op<readonly Run[]> {
    return seen;
  });
  return { runs, buf };
}

function* nothing(): Op<void> {}

const text = (value: number): Uint8Array => new Uint8Array(16).fill(value);

describe("by the exporter's mapping", () => {
  const variants: [string, VfioFactory, Contract][] = [
    ["dma-address", dmaAddressExporter, dmaAddress],
    ["annotated-address", annotatedAddressExporter, annotatedAddress],
    ["linux-7.3", linux73Exporter, linux73],
  ];
  const places: [string, Where, number][] = [
    ["bus addresses, with an offset", { base: "T1", more: { busOffsetBytes: 0x10_0000_0000 } }, 3],
    ["bus addresses past a translating IOMMU", { base: "T1", iommu: "translated" }, 3],
    ["one IOVA for three ranges", { base: "T2", iommu: "translated", more: { allowlisted: true } }, 1],
    ["one to one", { base: "T2", iommu: "identity", more: { allowlisted: true } }, 3],
  ];
  it.each(variants.flatMap(([id, f, c]) => places.map(([how, w, n]) => [id, how, f, c, w, n] as const)))(
    "%s: %s",
    (_id, _how, factory, contract, where, count) => {
      const w = world(where, factory, contract);
      const { runs } = w.run(importInto(w, w.nic));
      expect(runs).toHaveLength(count);
      const write = (page: number, value: number) => {
        const run = runs.find((r) => r.offset <= page * PAGE && page * PAGE < r.offset + r.sizeBytes) as Run;
        return w.run(w.nic.write(addr(run.address + page * PAGE - run.offset), text(value))).kind;
      };
      expect([0, 1, 2].map((page) => write(page, page + 1))).toEqual(["done", "done", "done"]);
      const bytesOf = (page: number) => w.machine.memory.read(addr(BAR + page * PAGE), 16);
      expect(PAGES.map(bytesOf)).toEqual([text(1), text(2), text(3)]);

      w.run(w.exporter.setMemoryEnabled(false));
      expect(write(0, 9)).not.toBe("done");
      expect(bytesOf(7)).toEqual(text(1));
      expect([w.exporter.ledger.sgTables, w.machine.ledger.dmaMappings]).toEqual([0, 0]);
      expect(w.fw.findings).toEqual([]);
    },
  );

  it("no route, and the answer comes at attach", () => {
    const w = world({ base: "T2" }, linux73Exporter, linux73);
    expect(refusal(() => w.run(importInto(w, w.nic)))).toBe("EOPNOTSUPP@attach");
    expect(w.machine.ledger.dmaMappings).toBe(0);
  });
});

describe("by page frames", () => {
  it.each([
    ["pfn", pfnExporter, pfn],
    ["pfn-locked", pfnLockedExporter, pfnLocked],
  ])("%s: what the importer maps itself leads to the BAR", (_id, factory, contract) => {
    const w = world({ base: "T2", iommu: "translated", more: { allowlisted: true } }, factory, contract);
    const { runs } = w.run(importInto(w, w.nic));
    for (const [i, run] of runs.entries()) {
      const physical = addr<PhysAddr>(run.address);
      const dma = w.nic.dma.mapPhys(physical, run.sizeBytes, "bidirectional", { mmio: true });
      expect(w.run(w.nic.write(dma, text(i + 1))).kind).toBe("done");
    }
    expect(PAGES.map((page) => w.machine.memory.read(addr(BAR + page * PAGE), 1)[0])).toEqual([1, 2, 3]);
  });

  it("vma: a CPU stores through the frames that it was told", () => {
    const w = world({ base: "T1" }, vmaExporter, vma);
    const buf = w.run(w.exporter.export({ regionIndex: 0, ranges: RANGES }));
    const area: Vma = { pgoff: 0, pages: 3, buf: null, fault: null };
    w.run(w.fw.mmapFile(buf, area));
    const cpu = new Cpu(w.machine, "CPU 0");
    const touch = function* (page: number): Op<PfnAnswer> {
      return yield* perform(area.fault?.(page) as MaySleep<PfnAnswer>);
    };
    const { pfn: frame } = w.run(touch(1));
    cpu.map(0x1000, physOf(frame), PAGE, { cache: "uc" });
    w.run(cpu.write(0x1000, text(5)));
    expect(w.machine.memory.read(addr(BAR + 2 * PAGE), 16)).toEqual(text(5));
    w.run(w.exporter.setMemoryEnabled(false));
    expect(refusal(() => w.run(touch(1)))).toBe("EFAULT@mmap");
    w.run(w.fw.munmap(area));
  });
});

describe("the function itself", () => {
  function withIoBar(): { readonly machine: Machine; readonly address: string } {
    const { topology, exporter } = t1();
    const io: Bar = {
      index: 2,
      space: "io",
      base: addr(0xe000),
      sizeBytes: 256,
      prefetchable: false,
      bits: 32,
      enabled: true,
    };
    const functions = topology.functions.map(
      (fn): PciFunction => (fn.address === exporter ? { ...fn, bars: [...fn.bars, io] } : fn),
    );
    const fw = new Framework({ contract: linux73, scheduler: new Scheduler() });
    const changed = new Topology({ functions, hostBridges: topology.hostBridges, cpu: topology.cpu });
    const machine = new Machine({ topology: changed, trace: fw.trace, iommu: "off", rootComplexForwards: true });
    return { machine, address: exporter };
  }

  it("an I/O BAR offers nothing: EINVAL; one that is not there: ENODEV", () => {
    const { machine, address } = withIoBar();
    const scheduler = new Scheduler();
    const fw = new Framework({ contract: linux73, scheduler });
    const exporter = linux73Exporter()(fw, new VfioPciDevice(machine, address));
    const answer = (regionIndex: number): string =>
      refusal(() => scheduler.complete("vmm", exporter.export({ regionIndex, ranges: [{ offset: 0, length: PAGE }] })));
    expect([answer(2), answer(3), answer(0)]).toEqual(["EINVAL@export", "ENODEV@export", "ok"]);
  });

  it("a reset, a power state and decoding are the machine's: revoked before, given back after", () => {
    const w = world({ base: "T1" }, linux73Exporter, linux73);
    const { buf } = w.run(importInto(w, w.nic));
    const device = w.machine.topology.get(w.exporter.name);
    w.run(w.exporter.reset());
    expect([w.machine.functions.resets(device), w.machine.memoryDecode(device)]).toEqual([1, true]);
    w.run(w.exporter.setPowerState("D3hot"));
    const importer = { name: "second", ops: { allowPeer2peer: true, invalidateMappings() {} } };
    const attach = (): string => refusal(() => w.run(w.fw.dynamicAttach(buf, w.nic, importer)));
    expect([w.machine.functions.power(device), attach()]).toEqual(["D3hot", "ENODEV@attach"]);
    w.run(w.exporter.setPowerState("D0"));
    expect(attach()).toBe("ok");
  });
});
