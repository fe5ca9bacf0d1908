import { addr, type Gpa, type PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import { GuestVm } from "./guest.js";
import { isTrusted, PrivateMemory, vmPath } from "./private.js";
import { BAR, bytes, dmaOf, RAM, rig } from "./testing.js";

const RW = { read: true, write: true } as const;
const page = (base: number, owner = "guest") => ({ base: addr<PhysAddr>(base), sizeBytes: 4096, owner });

it.each([
  ["RAM", RAM],
  ["a BAR", BAR],
])("private %s: the owner reads and writes it, nobody else does", (_name, base) => {
  const r = rig();
  const vm = new GuestVm(r.machine, "guest", true, { vcpus: 2 });
  const other = new GuestVm(r.machine, "other", true);
  for (const { table } of [vm, other]) table.map(0x1000, base, 4096, RW);
  r.machine.private.add(page(base));
  const gpa = addr<Gpa>(0x1000);
  expect(r.run(vm.vcpus[1]?.write(gpa, bytes(4)) as ReturnType<GuestVm["write"]>).kind).toBe("done");
  expect(r.run(other.read(gpa, 8))).toMatchObject({ kind: "lost", bytes: bytes(0xff) });
  expect(r.run(other.write(gpa, bytes(1))).kind).toBe("lost");
  expect(r.run(r.nic.write(dmaOf(base), bytes(1)))).toMatchObject({ kind: "lost", reason: /private to guest/ });
  expect(r.machine.arrivals.at(-1)).toMatchObject({
    physical: null,
    reason: expect.stringContaining("private to guest"),
  });
  expect(r.machine.cpuAccess(base).kind).toBe("lost");
  expect(r.run(vm.read(gpa, 8))).toEqual({ kind: "done", bytes: bytes(4) });
});

it.each([
  ["the VM", "guest"],
  ["the VM's path", "VM guest"],
  ["a device that the VM trusts", "0000:04:00.0"],
])("a CPU of the host that is called like %s is not trusted", (_what, name) => {
  const r = rig();
  r.machine.private.add({ ...page(RAM), trusted: [r.nic.name] });
  const cpu = new Cpu(r.machine, name);
  cpu.map(0x1000, RAM, 4096, { cache: "wb" });
  expect(r.run(cpu.write(0x1000, bytes(1)))).toMatchObject({ kind: "lost", reason: /private to guest/ });
  expect(r.machine.memory.read(RAM, 8)).toEqual(bytes(0));
});

it.each([
  ["rejected", { kind: "fault", by: "the device" }],
  ["machine-check", { kind: "fault", by: "a machine check" }],
  ["ones", { kind: "lost", bytes: bytes(0xff) }],
  ["let-through", { kind: "done", bytes: bytes(7) }],
] as const)("a stranger is %s, as the range says", (strangers, expected) => {
  const r = rig();
  r.machine.memory.write(RAM, bytes(7));
  r.machine.private.add({ ...page(RAM), strangers });
  const cpu = new Cpu(r.machine, "CPU 0");
  cpu.map(0x1000, RAM, 4096, { cache: "wb" });
  expect(r.run(cpu.read(0x1000, 8))).toMatchObject(expected);
  expect(r.machine.private.secretTo("host CPU 0", RAM)?.owner).toBe("guest");
  expect(r.machine.private.secretTo(vmPath("guest"), RAM)).toBeNull();
});

it("a machine check is a CPU's: a device that comes is refused", () => {
  const r = rig();
  r.machine.private.add({ ...page(BAR), strangers: "machine-check" });
  expect(r.run(r.nic.read(dmaOf(BAR), 8))).toMatchObject({ kind: "fault", by: "the device" });
});

it("a trusted device is on the owner's path", () => {
  const r = rig();
  r.machine.private.add({ ...page(BAR), trusted: [r.nic.name] });
  expect(r.run(r.nic.write(dmaOf(BAR), bytes(1))).kind).toBe("done");
});

it("a range that is shared again is everybody's, and its span is kept", () => {
  const memory = new PrivateMemory(() => 7);
  const range = memory.add(page(RAM));
  expect(memory.refusal("nic", RAM)).toBe("0x200000 is private to guest");
  memory.remove(range);
  expect([memory.refusal("nic", RAM), memory.ranges]).toEqual([null, []]);
  expect(memory.spans).toEqual([{ range, from: 7, until: 7 }]);
});

it.each([
  ["EINVAL", { ...page(RAM), sizeBytes: 0 }],
  ["EINVAL", { ...page(RAM), sizeBytes: 100 }],
  ["EINVAL", page(RAM + 8)],
  ["EBUSY", page(RAM + 4096, "other")],
])("%s leaves nothing behind", (code, range) => {
  const memory = new PrivateMemory(() => 0);
  memory.add({ ...page(RAM), sizeBytes: 8192 });
  expect(() => memory.add(range)).toThrow(code);
  expect(memory.ranges).toHaveLength(1);
});

it("law: a byte is refused if and only if it is in a range and the asker is not trusted there", () => {
  const who: fc.Arbitrary<string> = fc.constantFrom("a", "b", "c");
  const path = fc.oneof(who, who.map(vmPath));
  const slot = fc.record({ page: fc.nat({ max: 9 }), owner: who, trusted: fc.array(who) });
  fc.assert(
    fc.property(fc.uniqueArray(slot, { selector: (s) => s.page }), fc.nat({ max: 9 }), path, (slots, at, by) => {
      const memory = new PrivateMemory(() => 0);
      for (const { page: n, ...rest } of slots) memory.add({ ...page(n * 4096), ...rest });
      const here = slots.find((s) => s.page === at);
      const refused = here !== undefined && vmPath(here.owner) !== by && !here.trusted.includes(by);
      expect(memory.refusal(by, at * 4096 + 5) !== null).toBe(refused);
      expect(memory.ranges.filter((r) => r.base === at * 4096).every((r) => isTrusted(r, by))).toBe(!refused);
    }),
  );
});
