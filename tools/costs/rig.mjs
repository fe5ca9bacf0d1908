// A machine for one measurement: a function with a BAR of any size, another that does DMA, both below one switch.
import { addr, contracts, Framework, Scheduler } from "@dma-buf/core";
import { t1, Topology } from "@dma-buf/pci";
import { Machine, MachineMemfds, VfioPciDevice } from "../../packages/machine/dist/index.js";
import { Counts, countCalls, countMappings, countSites, noTrace } from "./count.mjs";

const TIB = 2 ** 40;
/** Aligned to the largest BAR, so that each leaf is as large as the format allows. */
const BAR_AT = TIB;
const SCATTERED_AT = 0x3000_0000;
const PAGE = 4096;
/** 8 MiB: those of 1 GiB in pages, twice. */
const TABLES_MAX = 2048;

/** @returns a world in which nothing has happened yet; what happens in it is in `counts` */
export function rig(contractId, barBytes) {
  const { topology: whole, exporter, importers } = t1();
  const moved = (range) => (range.sizeBytes >= 2 ** 30 ? { ...range, base: addr(BAR_AT), sizeBytes: barBytes } : range);
  const functions = whole.functions.map((fn) => ({
    ...fn,
    bars: fn.bars.map(moved),
    ...(fn.bridge ? { bridge: { ...fn.bridge, windows: fn.bridge.windows.map(moved) } } : {}),
  }));
  const topology = new Topology({ functions, hostBridges: whole.hostBridges, cpu: whole.cpu });
  const counts = new Counts();
  const scheduler = new Scheduler(undefined, 1e9);
  countSites(scheduler, counts);
  const contract = contracts.find((c) => c.id === contractId);
  const framework = new Framework({ contract, scheduler });
  const trace = noTrace(scheduler);
  Object.defineProperty(framework.env, "trace", { value: trace });
  countCalls(framework, counts);
  const machine = new Machine({ topology, trace, iommu: "identity", rootComplexForwards: true, tablesMax: TABLES_MAX });
  const tables = nameTables(machine);
  const device = machine.device(importers[0]);
  const run = (name, op) => scheduler.complete(name, op);
  return {
    framework,
    machine,
    counts,
    tables,
    run,
    vfio: new VfioPciDevice(machine, exporter),
    device,
    mappings: countMappings(device),
  };
}

/** The machine's page tables, by name, as long as they are there. */
function nameTables(machine) {
  const tables = new Map();
  const make = machine.pageTable.bind(machine);
  machine.pageTable = (name, ...rest) => {
    const table = make(name, ...rest);
    tables.set(name, table);
    return table;
  };
  return tables;
}

/** A memory file whose pages lie in RAM one below the other: no two are in a row. */
export function scatteredFile(machine, sizeBytes) {
  const pages = sizeBytes / PAGE;
  const frame = (page) => ({ physical: addr(SCATTERED_AT + (pages - 1 - page) * PAGE), sizeBytes: PAGE });
  const ranges = (offset, bytes) => Array.from({ length: bytes / PAGE }, (_, i) => frame(offset / PAGE + i));
  const memfd = {
    kind: "shmem",
    seals: 2,
    ranges,
    pinFolios: (offset, bytes) => ({ ranges: ranges(offset, bytes), unpin() {} }),
    follow: () => ({ [Symbol.dispose]() {} }),
  };
  const { misc } = new MachineMemfds(machine);
  return { misc, file: () => memfd };
}
