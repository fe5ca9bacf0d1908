import { addr, type PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import type { Machine } from "./machine.js";
import { BAR, bytes, dmaOf, rig, type Rig } from "./testing.js";

const VA = 0x1000;
/** A CPU that sees the first page of the BAR. */
function cpuOn(machine: Machine): Cpu {
  const cpu = new Cpu(machine, "CPU 0");
  cpu.map(VA, BAR, 4096, { cache: "uc" });
  return cpu;
}

type Change = (r: Rig) => void;
const port = ({ machine, gpu }: Rig) => machine.topology.parentOf(gpu) as typeof gpu;
const states: [string, Change, string][] = [
  ["decode off", ({ machine, gpu }) => machine.functions.setMemory(gpu, false), "does not decode memory"],
  ["D3hot", ({ machine, gpu }) => machine.functions.setPower(gpu, "D3hot"), "is in D3hot"],
  ["D3cold", ({ machine, gpu }) => machine.functions.setPower(gpu, "D3cold"), "has no power"],
  ["removed", ({ machine, gpu }) => machine.functions.unplug(gpu), "was removed, and the port above answers"],
  ["link down", (r) => r.machine.functions.setLink(port(r), false), "the link below 0000:02:00.0 is down"],
];

describe("who answers, and how", () => {
  it.each(states)("%s: a load gives ones, a store is lost, and a peer is told", (_name, change, why) => {
    const r = rig();
    const cpu = cpuOn(r.machine);
    r.machine.memory.write(BAR, bytes(7));
    change(r);
    expect(r.run(cpu.read(VA, 8))).toMatchObject({ kind: "lost", bytes: bytes(0xff), answer: "unsupported-request" });
    expect(r.run(cpu.write(VA, bytes(1)))).toMatchObject({ kind: "lost", bytes: bytes(0, 0) });
    const peer = r.run(r.nic.read(dmaOf(BAR), 8));
    expect(peer).toMatchObject({ kind: "lost", reason: expect.stringContaining(why), answer: "unsupported-request" });
    expect(r.run(r.nic.write(dmaOf(BAR), bytes(1))).kind).toBe("lost");
    expect(r.machine.memory.read(BAR, 8)).toEqual(bytes(7));
  });

  it.each<[string, Change, Change]>([
    [
      "D3cold",
      ({ machine, gpu }) => machine.functions.setPower(gpu, "D3cold"),
      ({ machine, gpu }) => machine.functions.setPower(gpu, "D0"),
    ],
    [
      "a link that was down",
      (r) => r.machine.functions.setLink(port(r), false),
      (r) => r.machine.functions.setLink(port(r), true),
    ],
  ])("%s: it comes back without decode, without bus mastering, and with empty caches", (_name, gone, back) => {
    const r = rig();
    const emptied: string[] = [];
    r.machine.functions.onReset((fn) => emptied.push(fn.address));
    gone(r);
    back(r);
    expect(emptied).toEqual([r.gpu.address]);
    expect(r.machine.functions.busMaster(r.gpu)).toBe(false);
    expect(r.machine.functions.refusal(r.gpu, null)?.reason).toMatch(/does not decode memory/);
  });

  it("D3hot keeps what it had", () => {
    const { machine, gpu } = rig();
    for (const power of ["D3hot", "D0"] as const) machine.functions.setPower(gpu, power);
    expect([machine.functions.refusal(gpu, null), machine.functions.resets(gpu)]).toEqual([null, 0]);
  });

  it("with a port goes what is below it", () => {
    const r = rig();
    r.machine.functions.unplug(port(r));
    expect(r.machine.functions.silence(r.gpu)).toBe("it was removed");
    expect(r.machine.functions.silence(r.nic.fn)).toBeNull();
    expect([r.gpu, r.nic.fn].map((fn) => r.machine.functions.isRemoved(fn))).toEqual([true, false]);
  });

  it.each<[string, Change, RegExp]>([
    [
      "in D3hot",
      (r) => r.machine.functions.setPower(port(r), "D3hot"),
      /^0000:02:00.0 is in D3hot, and its link is down/,
    ],
    [
      "without decode",
      (r) => r.machine.functions.setMemory(port(r), false),
      /^0000:02:00.0 forwards no memory requests/,
    ],
  ])("a port %s passes nothing down", (_name, change, why) => {
    const r = rig();
    change(r);
    expect(r.run(r.nic.write(dmaOf(BAR), bytes(1)))).toMatchObject({
      kind: "lost",
      reason: expect.stringMatching(why),
    });
  });

  it("bus mastering off: it still answers", () => {
    const r = rig();
    r.machine.functions.setBusMaster(r.gpu, false);
    expect(r.run(cpuOn(r.machine).read(VA, 8)).kind).toBe("done");
  });

  it("a port far above does not matter to a peer below the same switch", () => {
    const { machine, gpu, nic, run } = rig();
    machine.functions.setMemory(machine.topology.get("0000:00:01.0"), false);
    expect(run(nic.write(dmaOf(BAR), bytes(1))).kind).toBe("done");
    expect(machine.functions.refusal(gpu, null)?.reason).toMatch(/^0000:00:01.0 forwards no memory requests down/);
  });
});

describe("laws", () => {
  const change = fc.constantFrom("memory on", "memory off", "D0", "D3hot", "link down", "link up", "access");
  it("an access succeeds if and only if its target decodes when it arrives", () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const r = rig();
        const { functions, topology } = r.machine;
        const oracle = { memory: true, power: true, link: true };
        for (const [i, what] of changes.entries()) {
          if (what === "memory on" || what === "memory off") {
            oracle.memory = what === "memory on";
            functions.setMemory(r.gpu, oracle.memory);
          } else if (what === "D0" || what === "D3hot") {
            oracle.power = what === "D0";
            functions.setPower(r.gpu, what);
          } else if (what === "link up" || what === "link down") {
            oracle.link = what === "link up";
            // Behind a link that went down, COMMAND is clear.
            if (!oracle.link) oracle.memory = false;
            functions.setLink(topology.get("0000:02:00.0"), oracle.link);
          } else {
            const done = r.run(r.nic.write(dmaOf(BAR), bytes(i + 1))).kind === "done";
            expect(done).toBe(oracle.memory && oracle.power && oracle.link);
            expect(r.machine.memory.read(BAR, 1)[0] === i + 1).toBe(done);
          }
        }
      }),
    );
  });
});

it("an address in no window reaches nobody", () => {
  const { machine } = rig();
  expect(machine.cpuAccess(addr<PhysAddr>(0x70_0000_0000))).toEqual({
    kind: "lost",
    at: "root complex",
    reason: "nobody claims 0x7000000000",
  });
});
