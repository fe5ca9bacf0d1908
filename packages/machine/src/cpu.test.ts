import { addr, DmaBufError, explore, type Op, type PhysAddr } from "@dma-buf/core";
import { expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import { x86Pat } from "./cpu-format.js";
import { BAR, bytes, RAM, rig, type Rig, upTo } from "./testing.js";

const VA = 0x7f00_0000;
const OTHER = addr<PhysAddr>(RAM + 0x8000);
const cpuOf = ({ machine }: Rig): Cpu => new Cpu(machine, "CPU 0");

it("the bytes go where the page table says, across pages that lie apart", () => {
  const r = rig();
  const cpu = cpuOf(r);
  cpu.map(VA, RAM, 4096, { cache: "wb" });
  cpu.map(VA + 4096, OTHER, 4096, { cache: "wb" });
  expect(r.run(cpu.write(VA + 4092, bytes(3))).kind).toBe("done");
  expect(r.machine.memory.read(RAM + 4092, 4)).toEqual(bytes(3, 4));
  expect(r.machine.memory.read(OTHER, 4)).toEqual(bytes(3, 4));
  expect(r.run(cpu.read(VA + 4092, 8))).toEqual({ kind: "done", bytes: bytes(3) });
});

it("a page that is not mapped, or not writable, is a page fault", () => {
  const r = rig();
  const cpu = cpuOf(r);
  cpu.map(VA, RAM, 4096, { cache: "wb", write: false });
  expect(r.run(cpu.read(VA, 8)).kind).toBe("done");
  expect(r.run(cpu.write(VA, bytes(1)))).toEqual({ kind: "page-fault", reason: "permission at level 0" });
  expect(r.run(cpu.read(VA + 4092, 8))).toEqual({ kind: "page-fault", reason: "not-present at level 0" });
});

it("the TLB answers after the unmap, until the flush is through", () => {
  const r = rig();
  const cpu = cpuOf(r);
  cpu.map(VA, RAM, 4096, { cache: "wb" });
  r.run(cpu.read(VA, 8));
  expect(cpu.unmap(VA, 4096)).toBe(4096);
  expect(r.run(cpu.read(VA, 8)).kind).toBe("done");
  r.run(cpu.flushTlb());
  expect(r.run(cpu.read(VA, 8)).kind).toBe("page-fault");
});

/** Unmaps and flushes while the CPU reads the BAR; says whether a load arrived after the flush. */
function zapRace(flush: (cpu: Cpu) => Op<void>, access: (cpu: Cpu) => Op<unknown>): Set<string> {
  const seen = new Set<string>();
  explore(
    (scheduler) => {
      const r = rig({ scheduler });
      const cpu = cpuOf(r);
      let arrivedBefore = 0;
      cpu.map(VA, BAR, 4096, { cache: "uc" });
      const zap = function* (): Op<void> {
        cpu.unmap(VA, 4096);
        yield* flush(cpu);
        arrivedBefore = r.machine.arrivals.length;
      };
      scheduler.spawn("cpu", access(cpu));
      scheduler.spawn("zap", zap());
      scheduler.run();
      seen.add(
        r.machine.arrivals.length > arrivedBefore ? "after" : r.machine.arrivals.length > 0 ? "before" : "never",
      );
    },
    { badness: () => 0 },
  );
  return seen;
}

it("no load arrives after the flush: the interrupt waits for it", () => {
  expect(
    zapRace(
      (cpu) => cpu.flushTlb(),
      (cpu) => cpu.read(VA, 8),
    ),
  ).toEqual(new Set(["before", "never"]));
});

it("a store may: no interrupt drains the fabric", () => {
  expect(
    zapRace(
      (cpu) => cpu.flushTlb(),
      (cpu) => cpu.write(VA, bytes(1)),
    ),
  ).toContain("after");
});

it("without the flush, a load may too", () => {
  const twice = function* (cpu: Cpu): Op<void> {
    yield* cpu.read(VA, 8);
    yield* cpu.read(VA, 8);
  };
  expect(zapRace(function* () {}, twice)).toContain("after");
});

it.each(x86Pat.known.map((k) => [k.entry.toString(16), k] as const))("known entry %s", (_hex, known) => {
  if (known.kind === "table") return expect(x86Pat.tableFlags(known.level) | BigInt(known.physical)).toBe(known.entry);
  const level = (known.sizeLog2 - 12) / 9;
  const { cache = "wb", ...allows } = known.protection;
  const made = x86Pat.leafFlags({ level, sizeLog2: known.sizeLog2 }, known.protection) | BigInt(known.physical);
  expect(made).toBe(known.entry);
  expect(x86Pat.protection(known.entry, level)).toEqual({ execute: true, ...allows, cache });
});

it("a type that the PAT bits in use cannot say is refused, and nothing is mapped", () => {
  const r = rig();
  const cpu = cpuOf(r);
  const before = r.machine.resources.read();
  expect(() => cpu.map(VA, BAR, 4096, { cache: "wt" })).toThrow(DmaBufError);
  expect(() => cpu.map(VA, BAR, 4096, { cache: "wt" })).toThrow(/its memory types are uc, wc, wb/);
  expect(r.machine.resources.read()).toEqual(before);
  expect(r.machine.attributes.records).toEqual([]);
});

it("after its end every access is a page fault, whatever was cached, and whoever has its tables now", () => {
  const r = rig();
  const cpu = cpuOf(r);
  cpu.map(VA, RAM, 4096, { cache: "wb" });
  r.run(cpu.read(VA, 8));
  const reading = cpu.read(VA, 8);
  upTo(reading, "cpu.access");
  cpu.destroy();
  new Cpu(r.machine, "CPU 1").map(VA, OTHER, 4096, { cache: "wb" });
  const fault = { kind: "page-fault", reason: "its page table was destroyed" };
  for (const op of [reading, cpu.write(VA, bytes(1)), cpu.read(VA + 4096, 8)]) expect(r.run(op)).toEqual(fault);
  expect(r.machine.resources.read()).toMatchObject({ tlbEntries: 0 });
});

it.each([
  ["ENXIO", VA + 8, { cache: "wb" }],
  ["EADDRINUSE", VA, { cache: "wb" }],
  ["EINVAL", VA + 4096, { cache: "wp" }],
] as const)("map: %s, and nothing is booked", (code, va, how) => {
  const r = rig();
  const cpu = cpuOf(r);
  cpu.map(VA, RAM, 4096, { cache: "wb" });
  expect(() => cpu.map(va, RAM, 4096, how)).toThrow(code);
  expect(r.machine.attributes.records).toHaveLength(1);
});

it("counts what it holds", () => {
  const r = rig();
  const before = r.machine.resources.read();
  const cpu = cpuOf(r);
  cpu.map(VA, RAM, 8192, { cache: "wb" });
  r.run(cpu.read(VA, 8));
  expect(r.machine.resources.read()).toMatchObject({ cpuMappedBytes: 8192, tlbEntries: 1 });
  cpu.unmap(VA, 8192);
  r.run(cpu.flushTlb());
  cpu.destroy();
  expect(r.machine.resources.read()).toEqual({ ...before, cpuMappedBytes: 0, tlbEntries: 0 });
});
