/** Between the issue of a request and its arrival others run, and its target may change. */
import { explore, type Op } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import type { Machine } from "./machine.js";
import { BAR, bytes, dmaOf, RAM, rig, type Rig, upTo } from "./testing.js";

const VA = 0x1000;
/** A CPU that sees the first page of the BAR. */
function cpuOn(machine: Machine): Cpu {
  const cpu = new Cpu(machine, "CPU 0");
  cpu.map(VA, BAR, 4096, { cache: "uc" });
  return cpu;
}

/** Every order of two tasks; the distinct results. */
function orders<T extends string>(world: (r: Rig) => { readonly tasks: readonly Op<unknown>[]; end(): T }): Set<T> {
  const seen = new Set<T>();
  const found = explore(
    (scheduler) => {
      const { tasks, end } = world(rig({ scheduler }));
      for (const [i, task] of tasks.entries()) scheduler.spawn(`task ${i}`, task);
      scheduler.run();
      seen.add(end());
    },
    { badness: () => 0 },
  );
  expect(found.kind).toBe("exhausted");
  return seen;
}

function* step(does: () => void): Op<void> {
  does();
}

describe("what is there is asked when a request arrives", () => {
  it("a write that was sent before decode went off lands or is lost", () => {
    const seen = orders(({ machine, gpu, nic }) => ({
      tasks: [nic.write(dmaOf(BAR), bytes(1)), step(() => machine.functions.setMemory(gpu, false))],
      end: () => (machine.memory.read(BAR, 1)[0] === 1 ? "landed" : "lost"),
    }));
    expect(seen).toEqual(new Set(["landed", "lost"]));
  });

  it("a write that was sent while decode was on, and arrives after off and on again, lands", () => {
    const { machine, gpu, nic } = rig();
    const write = nic.write(dmaOf(BAR), bytes(1));
    upTo(write, "fabric.arrive");
    machine.functions.setMemory(gpu, false);
    machine.functions.setMemory(gpu, true);
    expect(write.next().value).toMatchObject({ kind: "done" });
    expect(machine.memory.read(BAR, 1)).toEqual(bytes(1, 1));
  });

  it("a device that is turned off has sent what it sent", () => {
    const { machine, nic } = rig();
    const write = nic.write(dmaOf(RAM), bytes(1));
    upTo(write, "fabric.arrive");
    machine.functions.setBusMaster(nic.fn, false);
    expect(write.next().value).toMatchObject({ kind: "done" });
  });
});

describe("a configuration write", () => {
  const race = (off: (r: Rig) => Op<void>) =>
    orders((r) => {
      const cpu = cpuOn(r.machine);
      return {
        // One CPU: the store is issued, then COMMAND is written.
        tasks: [cpu.write(VA, bytes(1)), off(r)],
        end: () => {
          const [first] = r.machine.arrivals;
          const sent = r.machine.trace.events.findIndex((e) => e.text.includes("claims"));
          const offAt = r.machine.trace.events.findIndex((e) => e.text.includes("memory decode off"));
          return sent < offAt && first?.physical === null ? "sent before, lost" : "in order";
        },
      };
    });

  it("pushes the CPU's own stores in front of it", () => {
    expect(race(({ machine, gpu }) => machine.functions.writeCommand(gpu, { memory: false }))).toEqual(
      new Set(["in order"]),
    );
  });

  it("changes what it names, and nothing else", () => {
    const { machine, gpu, run } = rig();
    run(machine.functions.writeCommand(gpu, { busMaster: false }));
    expect([machine.functions.memory(gpu), machine.functions.busMaster(gpu)]).toEqual([true, false]);
    run(machine.functions.writeCommand(gpu, { memory: false }));
    expect([machine.functions.memory(gpu), machine.functions.busMaster(gpu)]).toEqual([false, false]);
  });

  it("which an effect at once does not", () => {
    expect(race(({ machine, gpu }) => step(() => machine.functions.setMemory(gpu, false)))).toContain(
      "sent before, lost",
    );
  });
});
