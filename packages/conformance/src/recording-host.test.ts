/** The recording host: what it counts, what it can be told to refuse, and where its addresses lead. */
import { addr, type DmaAddr, type PhysAddr, Scheduler } from "@dma-buf/core";
import { expect, it } from "vitest";
import { RecordingHost } from "./recording-host.js";

const PAGE = 4096;
const MMIO = { mmio: true };
const physical = addr<PhysAddr>(0x10000);

/** A host on which the calls of one name fail. */
const failing = (call: string): RecordingHost => new RecordingHost("device", { mapFails: (op) => op === call });

it("a mapping leads to its memory until it is given back, and elsewhere nothing does", () => {
  const host = new RecordingHost();
  const { dma } = host.device;
  const at = dma.mapPhys(physical, 2 * PAGE, "bidirectional", MMIO);
  expect([host.place(at + PAGE), host.place(0x10000), host.liveMappings]).toEqual([0x11000, null, 1]);
  dma.unmapPhys(at, 2 * PAGE);
  expect([host.place(at), host.liveMappings]).toEqual([null, 0]);
});

it("where the verdict is bus-address, an address that was not given out is its own place", () => {
  const host = new RecordingHost("device", { mapType: "bus-address" });
  const at = host.device.dma.mapPhys(physical, PAGE, "bidirectional", MMIO);
  expect([host.place(at), host.place(0x10000)]).toEqual([0x10000, 0x10000]);
  host.device.dma.unmapPhys(at, PAGE);
  expect(host.place(at)).toBe(null);
});

it("what was mapped is given back whole, and once", () => {
  const host = new RecordingHost();
  const { dma } = host.device;
  const at = dma.mapPhys(physical, 2 * PAGE, "bidirectional", MMIO);
  expect(() => dma.unmapPhys(at, PAGE)).toThrow(/no such mapping; give back what was mapped, whole/);
  dma.unmapPhys(at, 2 * PAGE);
  expect(() => dma.unmapPhys(at, 2 * PAGE)).toThrow(RangeError);
});

it("a mapping that is told to fail answers ENOMEM, and none is made", () => {
  const host = failing("dma_map_phys");
  expect(() => host.device.dma.mapPhys(physical, PAGE, "bidirectional", MMIO)).toThrow(/ENOMEM/);
  expect(host.liveMappings).toBe(0);
});

it("IOVAs that are told to fail are none: the device maps without them", () => {
  const host = failing("dma_iova_try_alloc");
  expect([host.device.dma.tryAllocIova(physical, PAGE), host.liveMappings]).toEqual([null, 0]);
});

it("IOVAs count until they are destroyed, and pieces of them as well", () => {
  const host = new RecordingHost();
  const run = new Scheduler();
  const state = host.device.dma.tryAllocIova(physical, 3 * PAGE);
  if (!state) throw new Error("no IOVAs");
  for (const page of [0, 1, 2]) state.link(page * PAGE, addr(0x10000 + page * PAGE), PAGE, "bidirectional", MMIO);
  expect(host.liveMappings).toBe(4);
  run.complete("unlink", state.unlink(0, PAGE));
  expect([host.place(state.address), host.place(state.address + PAGE), host.liveMappings]).toEqual([null, 0x11000, 3]);
  run.complete("destroy", state.destroy(3 * PAGE));
  expect(host.liveMappings).toBe(0);
});

it("a piece is linked once, and one that is told to fail answers ENOMEM", () => {
  const link = (host: RecordingHost): (() => void) => {
    const state = host.device.dma.tryAllocIova(physical, PAGE);
    return () => state?.link(0, physical, PAGE, "bidirectional", MMIO);
  };
  const again = link(new RecordingHost());
  again();
  expect(again).toThrow(/EADDRINUSE: 0 is linked: link the bytes after it/);
  const host = failing("dma_iova_link");
  expect(link(host)).toThrow(/ENOMEM/);
  expect(host.liveMappings).toBe(1);
});

it("memory is freed by the page, until it is allocated again", () => {
  const host = new RecordingHost();
  host.freed(physical, 2 * PAGE);
  expect([0xffff, 0x10000, 0x11fff, 0x12000].map((place) => host.isFreed(place))).toEqual([false, true, true, false]);
  host.allocated(physical, PAGE);
  expect([0x10000, 0x11000].map((place) => host.isFreed(place))).toEqual([false, true]);
});

it("tables are 64, several lie in a row, and they come back zeroed", () => {
  const { tables } = new RecordingHost();
  const row = tables.allocTable(2);
  expect((row - tables.basePhys) % (2 * PAGE)).toBe(0);
  for (let left = 62; left > 0; left--) tables.allocTable();
  expect(() => tables.allocTable()).toThrow(/ENOMEM: 64 tables are out/);
  tables.words[(row - tables.basePhys) / 4] = 7;
  tables.freeTable(row, 2);
  expect([tables.liveTables, tables.words[(row - tables.basePhys) / 4]]).toEqual([62, 0]);
});

it("a device's access is done where something is mapped, and faults elsewhere", () => {
  const { device } = new RecordingHost();
  const at = device.dma.mapPhys(physical, PAGE, "bidirectional", MMIO);
  const run = new Scheduler();
  expect(run.complete("read", device.read(at, 4))).toEqual({ kind: "done", bytes: new Uint8Array(4) });
  expect(run.complete("write", device.write(addr<DmaAddr>(at + PAGE), new Uint8Array(4))).kind).toBe("fault");
});
