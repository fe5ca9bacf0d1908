/** Where the line is of accesses: what those invariants let pass, beside what they do not. */
import { addr, type Gpa, type Op, type PhysAddr } from "@dma-buf/core";
import { expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import { GuestVm } from "./guest.js";
import { checkInvariants } from "./invariants.js";
import { EvidenceLog } from "./invariants-log.js";
import { BAR, bytes, dmaOf, RAM, rig, type Rig, upTo } from "./testing.js";

const GPA = addr<Gpa>(0x1_0000_0000);
const RW = { read: true, write: true, cache: "uc" } as const;
const PAGE = [{ base: BAR, sizeBytes: 4096 }];

interface Case extends Rig {
  readonly log: EvidenceLog;
}

const domainOf = ({ machine, nic }: Case): { kind: "iova"; domain: object } => ({
  kind: "iova",
  domain: machine.domainOf(nic) as object,
});

/** Lets a step go by. */
function* tick(): Op<void> {}

/** Violations of a run, as text. */
function said(play: (on: Case) => void): string[] {
  const r = rig({ iommu: "translated" });
  const log = new EvidenceLog(r.machine);
  play({ ...r, log });
  return checkInvariants(log).map((v) => `${v.invariant}: ${v.what}`);
}

it("I1: an address that was taken back is no longer given, and a bus address is one on any wire of its bus", () => {
  expect(
    said((on) => {
      const bridge = on.machine.topology.hostBridgeOf(on.nic.fn);
      const back = on.log.addressGiven({ kind: "pci-bus", bridge }, BAR, 4096);
      on.run(on.nic.write(dmaOf(BAR), bytes(1)));
      on.run((function* (): Op<void> {})());
      back();
      on.run((function* (): Op<void> {})());
      on.run(on.nic.write(dmaOf(BAR), bytes(1)));
    }),
  ).toEqual(["I1: 0000:04:00.0 put 0x4000000000 on its wire, an address that was given to nobody"]);
});

it("I1: the same number in another domain is another address", () => {
  const violations = said((on) => {
    on.log.addressGiven({ kind: "iova", domain: {} }, 0x1000, 4096);
    on.run(on.nic.write(dmaOf(addr<PhysAddr>(0x1000)), bytes(1)));
  });
  expect(violations).toEqual([
    "I1: 0000:04:00.0 put 0x1000 on its wire, an address that was given for another IOMMU domain",
  ]);
  const own = said((on) => {
    on.log.addressGiven(domainOf(on), 0x1000, 4096);
    on.run(on.nic.write(dmaOf(addr<PhysAddr>(0x1000)), bytes(1)));
  });
  expect(own).toEqual([]);
});

it("I1: the same number on another bus is another address", () => {
  const violations = said((on) => {
    on.log.addressGiven({ kind: "pci-bus", bridge: {} }, BAR, 4096);
    on.run(on.nic.write(dmaOf(BAR), bytes(1)));
  });
  expect(violations).toEqual([
    "I1: 0000:04:00.0 put 0x4000000000 on its wire, an address that was given for another PCI bus",
  ]);
});

it("I1: a CPU's number is physical, and nobody gives those", () => {
  const violations = said((on) => {
    on.log.addressGiven(domainOf(on), 0x1000, 4096);
    const cpu = new Cpu(on.machine, "CPU 0");
    cpu.map(0x1000, RAM, 4096, { cache: "wb" });
    on.run(cpu.write(0x1000, bytes(1)));
  });
  expect(violations).toEqual([]);
});

it("I2: the owner may, and everybody may once it was given out again", () => {
  const access = (between: (marks: ReturnType<EvidenceLog["revoke"]>) => void, owners: string[] = []) =>
    said((on) => {
      const marks = on.log.revoke("BAR 0", PAGE, owners);
      marks.drained();
      between(marks);
      on.run(on.nic.write(dmaOf(BAR), bytes(1)));
    });
  expect(access(() => {})).toHaveLength(1);
  expect(access(() => {}, ["0000:04:00.0"])).toEqual([]);
  expect(access((marks) => marks.restored())).toEqual([]);
});

it("I2: any vCPU of an owner may; a CPU of the host that is called like it may not", () => {
  const violations = said(({ machine, log, run }) => {
    const vm = new GuestVm(machine, "guest", false, { vcpus: 2 });
    vm.table.map(GPA, BAR, 4096, RW);
    const cpu = new Cpu(machine, "guest");
    cpu.map(0x1000, BAR, 4096, { cache: "uc" });
    log.revoke("BAR 0", PAGE, ["guest"]).drained();
    for (const vcpu of vm.vcpus) run(vcpu.write(GPA, bytes(1)));
    run(cpu.read(0x1000, 8));
  });
  expect(violations).toEqual(["I2: guest's read reached 0x4000000000 after BAR 0 was drained"]);
});

it("I2: a write that was sent before the drain and arrived after it says so", () => {
  expect(
    said((on) => {
      const write = on.nic.write(dmaOf(BAR), bytes(1));
      upTo(write, "fabric.arrive");
      on.run(tick());
      on.log.revoke("BAR 0", PAGE).drained();
      while (!write.next().done);
    }),
  ).toEqual(["I2: 0000:04:00.0's write reached 0x4000000000 after BAR 0 was drained, sent before"]);
});

it("I3: a write for the next work, and a read", () => {
  const after = (marks: (m: ReturnType<EvidenceLog["work"]>) => void, read = false) =>
    said((on) => {
      marks(on.log.work("job", on.nic.name, PAGE));
      on.run(read ? on.nic.read(dmaOf(BAR), 8) : on.nic.write(dmaOf(BAR), bytes(1)));
    });
  const retired = (m: ReturnType<EvidenceLog["work"]>): void => m.retired();
  expect(after(retired)).toHaveLength(1);
  expect(after(retired, true)).toEqual([]);
  expect(after((m) => (m.retired(), m.renewed()))).toEqual([]);
  const anothers = said((on) => {
    on.log.work("job", "somebody else", PAGE).retired();
    on.run(on.nic.write(dmaOf(BAR), bytes(1)));
  });
  expect(anothers).toEqual([]);
});

it("I3: a write of the old work that arrives when the next has begun", () => {
  expect(
    said((on) => {
      const work = on.log.work("job", on.nic.name, PAGE);
      const write = on.nic.write(dmaOf(BAR), bytes(1));
      upTo(write, "fabric.arrive");
      on.run(tick());
      work.retired();
      work.renewed();
      while (!write.next().done);
    }),
  ).toEqual(["I3: 0000:04:00.0 wrote 0x4000000000 after the fence of job had signalled"]);
});

it("I6: the owner's own vCPU, and anybody before it was private and once it is shared", () => {
  expect(
    said(({ machine, nic, run }) => {
      const vm = new GuestVm(machine, "guest", true, { vcpus: 2 });
      vm.table.map(GPA, BAR, 4096, RW);
      run(nic.write(dmaOf(BAR), bytes(1)));
      const range = machine.private.add({ base: BAR, sizeBytes: 4096, owner: "guest" });
      run(vm.write(GPA, bytes(1)));
      machine.private.remove(range);
      run(nic.write(dmaOf(BAR), bytes(1)));
    }),
  ).toEqual([]);
});
