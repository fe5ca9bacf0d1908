/** For each invariant: a run of a machine in which it holds, and the same run with its mechanism broken. */
import { addr, DmaBufError, type Gpa, type Op } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { Cpu } from "./cpu.js";
import { GuestVm } from "./guest.js";
import { checkInvariants, type InvariantId, INVARIANTS } from "./invariants.js";
import { EvidenceLog } from "./invariants-log.js";
import { BAR, bytes, dmaOf, RAM, rig, type Rig, upTo } from "./testing.js";

const GPA = addr<Gpa>(0x1_0000_0000);
const RW = { read: true, write: true, cache: "uc" } as const;
const PAGE = [{ base: BAR, sizeBytes: 4096 }];

interface Case extends Rig {
  readonly log: EvidenceLog;
}

/** A run that leaves evidence; with `broken`, one mechanism of it does not work. */
type Play = (on: Case, broken: boolean) => void;

function played(play: Play, broken: boolean): EvidenceLog {
  const r = rig({ iommu: "translated" });
  const log = new EvidenceLog(r.machine);
  play({ ...r, log }, broken);
  return log;
}

/** I1: a device uses the address that it was given, or that of another device's domain. */
const ownAddress: Play = (on, broken) => {
  const { machine, nic, log, run } = on;
  const other = machine.device(on.gpu.address);
  const giver = broken ? other : nic;
  const at = giver.dma.mapPhys(RAM, 4096, "bidirectional", { mmio: false });
  log.addressGiven({ kind: "iova", domain: machine.domainOf(giver) as object }, at, 4096);
  run(nic.write(at, bytes(1)));
};

/** I2: KVM zaps and flushes, and then the exporter goes on. */
const zapAndFlush: Play = ({ machine, log, run }, broken) => {
  const vm = new GuestVm(machine, "guest", false);
  vm.table.map(GPA, BAR, 4096, RW);
  run(vm.read(GPA, 8));
  const revoke = log.revoke("BAR 0", PAGE);
  vm.table.unmap(GPA, 4096);
  if (!broken) run(vm.flushTlb());
  revoke.drained();
  run(vm.read(GPA, 8));
};

/** I3: the device signals when its write has arrived, or when it was sent. */
const signalAfterArrival: Play = ({ nic, log }, broken) => {
  const work = log.work("copy job", nic.name, PAGE);
  const write = nic.write(dmaOf(BAR), bytes(1));
  upTo(write, "fabric.arrive");
  if (broken) work.retired();
  for (let at = write.next(); !at.done; at = write.next());
  if (!broken) work.retired();
};

/** I4: a refused import gives back what it had taken by then. */
const undoOnRefusal: Play = ({ nic, log, run }, broken) => {
  const op = function* (): Op<void> {
    const at = nic.dma.mapPhys(RAM, 4096, "bidirectional", { mmio: false });
    if (!broken) nic.dma.unmapPhys(at, 4096);
    throw new DmaBufError("ENOMEM", { op: "import", stage: "map", message: "told to" });
  };
  expect(() => run(log.watch("import", nic.name, op))).toThrow("ENOMEM");
};

/** I5: an importer maps what was exported, or a page more. */
const mapWithin: Play = ({ machine, log }, broken) => {
  const vm = new GuestVm(machine, "guest", false);
  vm.table.map(GPA, BAR, broken ? 8192 : 4096, RW);
  const mapped = [...vm.table.leaves()].map((leaf) => ({ base: vm.table.lookup(leaf.va), sizeBytes: leaf.sizeBytes }));
  log.maps("guest", PAGE, mapped);
};

/** I6: the fabric asks whose memory it is. */
const privateMemory: Play = ({ machine, nic, run }, broken) => {
  machine.private.add({ base: BAR, sizeBytes: 4096, owner: "guest" });
  if (broken) machine.private.refusal = () => null;
  run(nic.write(dmaOf(BAR), bytes(1)));
};

/** I7: every map has one unmap. */
const unmapOnce: Play = ({ nic, log }, broken) => {
  const at = nic.dma.mapPhys(RAM, 4096, "bidirectional", { mmio: false });
  log.took("map", "1", nic.name);
  if (!broken) {
    nic.dma.unmapPhys(at, 4096);
    log.gaveBack("map", "1", nic.name);
  }
  log.close();
};

/** I8: whoever was told to unmap does, and the exporter's wait ends. */
const drain: Play = ({ scheduler, log }, broken) => {
  let mapped = true;
  const exporter = function* (): Op<void> {
    const revoke = log.revoke("BAR 0", PAGE);
    if (!broken) mapped = false;
    yield { site: "drain", ready: () => !mapped };
    revoke.drained();
  };
  scheduler.spawn("exporter", exporter());
  scheduler.run();
};

/** I9: the BAR is mapped uncached, or as if it were RAM. */
const attribute: Play = ({ machine }, broken) => {
  new Cpu(machine, "CPU 0").map(0x1000, BAR, 4096, { cache: broken ? "wb" : "uc" });
};

/** I10: a route that does not exist is known when a device attaches. */
const earlyError: Play = ({ nic, log, run }, broken) => {
  const stage = broken ? "map" : "attach";
  const op = function* (): Op<void> {
    throw new DmaBufError("EOPNOTSUPP", { op: "import", stage, message: "no route" });
  };
  expect(() => run(log.watch("import", nic.name, op, "attach"))).toThrow("no route");
};

const plays: [InvariantId, Play, RegExp, string][] = [
  ["I1", ownAddress, /put 0x100000000 on its wire, an address that was given for another IOMMU domain/, "0000:04:00.0"],
  ["I2", zapAndFlush, /guest's read reached 0x4000000000 after BAR 0 was drained/, "guest"],
  ["I3", signalAfterArrival, /wrote 0x4000000000 after the fence of copy job had signalled/, "0000:04:00.0"],
  ["I4", undoOnRefusal, /import was refused with ENOMEM and left \+1 dmaMappings, \+\d tables behind/, "0000:04:00.0"],
  ["I5", mapWithin, /guest maps 4096 bytes at 0x4000001000: a part of that is not in what was exported/, "guest"],
  ["I6", privateMemory, /0000:04:00.0's write reached 0x4000000000, private to guest/, "0000:04:00.0"],
  ["I7", unmapOnce, /map 1 was never given back/, "0000:04:00.0"],
  ["I8", drain, /the revoke of BAR 0 never ended/, "BAR 0"],
  ["I9", attribute, /maps 0x4000000000 as wb, its owner wants wc/, "CPU 0"],
  ["I10", earlyError, /import failed at map, and why was known at attach/, "0000:04:00.0"],
];

describe.each(plays)("%s", (id, play, what, actor) => {
  const invariant = INVARIANTS.find((i) => i.id === id);

  it("holds, and had something to look at", () => {
    const log = played(play, false);
    expect(checkInvariants(log)).toEqual([]);
    expect(invariant?.looksAt(log)).toBeGreaterThan(0);
  });

  it("fails when its mechanism is broken, and no other does for it", () => {
    const violations = checkInvariants(played(play, true));
    expect(new Set(violations.map((v) => v.invariant))).toEqual(new Set([id]));
    expect(violations[0]).toMatchObject({ what: what as unknown as string, actor });
  });
});

it("has ten, and each is played", () => {
  expect(plays.map(([id]) => id)).toEqual(INVARIANTS.map((i) => i.id));
});

it("a run without evidence says that nothing was looked at", () => {
  const log = new EvidenceLog(rig().machine);
  expect(INVARIANTS.map((i) => i.looksAt(log))).toEqual(Array(10).fill(0));
  expect(checkInvariants(log)).toEqual([]);
});
