/** The catalogue's questions about KVM and a BAR, on the modelled machine: where the bytes go, and who refuses what, where. */
import { refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import {
  BAR,
  bytes,
  endOf,
  GIB,
  GPA,
  gpaAt,
  leavesOf,
  MIB,
  PAGE,
  type Rig,
  rig,
  type RigOptions,
  SERVING,
  type VariantId,
} from "./testing/rig.js";

/** A slot of the whole BAR. */
function imported(id: VariantId, options: RigOptions = {}): Rig & { buf: ReturnType<Rig["export"]> } {
  const r = rig(id, options);
  const buf = r.export();
  r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: GIB, buf, offset: 0 }));
  return { ...r, buf };
}

const PRIVATE = { privateMemory: true };
const POSTED: RigOptions = { ...PRIVATE, kvm: { asPosted: true }, vfio: { asPosted: true } };

describe.each(SERVING)("%s", (id) => {
  it.each([
    ["S17a, an ordinary VM", {}],
    ["S17b, a VM with private memory", PRIVATE],
  ])("%s: the guest's bytes are in the BAR", (_name, options) => {
    const r = imported(id, options);
    expect(r.run(r.kvm.write(gpaAt(8), bytes(7))).kind).toBe("done");
    expect(r.at(BAR + 8)).toEqual(bytes(7));
    expect(r.fw.findings).toEqual([]);
  });

  it("S20f: three ranges in one slot", () => {
    const r = rig(id, PRIVATE);
    const ranges = [7, 2, 4].map((page) => ({ offset: page * PAGE, length: PAGE }));
    const buf = r.run(r.exporter.export({ regionIndex: 0, ranges }));
    r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: 3 * PAGE, buf, offset: 0 }));
    for (const page of [0, 1, 2]) r.run(r.kvm.write(gpaAt(page * PAGE), bytes(page + 1)));
    expect([7, 2, 4].map((page) => r.at(BAR + page * PAGE)[0])).toEqual([1, 2, 3]);
    expect(leavesOf(r)).toEqual({ 4: 3 });
  });

  it("S21a: the page of the MSI-X table stays out of two slots", () => {
    const r = rig(id, PRIVATE);
    const buf = r.export();
    const after = 3 * PAGE;
    r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: 2 * PAGE, buf, offset: 0 }));
    r.run(r.kvm.setMemslot({ gpa: gpaAt(after), sizeBytes: GIB - after, buf, offset: after }));
    expect(endOf(r.run(r.kvm.write(gpaAt(2 * PAGE), bytes(1))))).toBe("mmio");
    for (const at of [PAGE, after, 4 * MIB]) r.run(r.kvm.write(gpaAt(at), bytes(9)));
    expect([PAGE, 2 * PAGE, after, 4 * MIB].map((at) => r.at(BAR + at)[0])).toEqual([9, 0, 9, 9]);
    expect(leavesOf(r)).toEqual({ 4: 2, 2048: 1 });
  });

  it("S23a: one leaf for a BAR of 1 GiB", () => {
    const r = imported(id, PRIVATE);
    for (const at of [0, 5 * PAGE, GIB - PAGE]) r.run(r.kvm.write(gpaAt(at), bytes(3)));
    expect(leavesOf(r)).toEqual({ [GIB / 1024]: 1 });
  });

  it("S37a: when the callback is back, nothing of the BAR is mapped or cached", () => {
    const r = imported(id);
    r.run(r.kvm.write(GPA, bytes(1)));
    r.run(r.exporter.setMemoryEnabled(false));
    expect([leavesOf(r), r.vm.vcpus[0]?.thread.cached]).toEqual([{}, 0]);
    const refused = id === "vma" ? "EFAULT@vcpu-run" : "EIO@vcpu-run";
    expect(refusal(() => r.run(r.kvm.write(GPA, bytes(2))))).toBe(refused);
    expect(r.at(BAR)).toEqual(bytes(1));
  });

  it("S41a: decode off and on, and the next access faults it in", () => {
    const r = imported(id);
    r.run(r.kvm.write(GPA, bytes(1)));
    r.run(r.exporter.setMemoryEnabled(false));
    r.run(r.exporter.setMemoryEnabled(true));
    expect(r.run(r.kvm.read(GPA, 8))).toEqual({ kind: "done", bytes: bytes(1) });
  });

  it("S42b: revoked between slot and first fault", () => {
    const r = imported(id, PRIVATE);
    r.run(r.exporter.revoke());
    const expected = id === "vma" ? "EFAULT@vcpu-run" : "EIO@vcpu-run";
    expect(refusal(() => r.run(r.kvm.read(GPA, 8)))).toBe(expected);
    expect([leavesOf(r), r.vm.table.tables]).toEqual([{}, 1]);
  });

  it("S43a: a slot made with decode off comes alive", () => {
    const r = rig(id, PRIVATE);
    r.run(r.exporter.setMemoryEnabled(false));
    const buf = r.export();
    r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: GIB, buf, offset: 0 }));
    expect(refusal(() => r.run(r.kvm.read(GPA, 8)))).toMatch(/@vcpu-run$/);
    r.run(r.exporter.setMemoryEnabled(true));
    expect(r.run(r.kvm.read(GPA, 8)).kind).toBe("done");
  });

  it("S44a: the BAR comes back after a function level reset", () => {
    const r = imported(id, PRIVATE);
    r.run(r.kvm.write(GPA, bytes(1)));
    r.run(r.exporter.functionLevelReset());
    expect(r.run(r.kvm.read(GPA, 8)).kind).toBe("done");
  });

  it("S47a: the device is closed under the guest", () => {
    const r = imported(id, PRIVATE);
    r.run(r.kvm.write(GPA, bytes(1)));
    r.run(r.exporter.close());
    expect(leavesOf(r)).toEqual({});
    expect(refusal(() => r.run(r.kvm.read(GPA, 8)))).toMatch(/@vcpu-run$/);
  });

  it("S68a: the card is pulled out, and nobody answers", () => {
    const r = imported(id, PRIVATE);
    r.run(r.kvm.write(GPA, bytes(1)));
    r.machine.functions.setMemory(r.machine.topology.get(r.exporter.name), false);
    expect(r.run(r.kvm.read(GPA, 4))).toMatchObject({ kind: "lost", bytes: bytes(0xff, 4) });
  });

  it("everything is given back", () => {
    const r = imported(id);
    r.run(r.kvm.write(GPA, bytes(1)));
    r.run(r.kvm.destroy());
    r.run(r.fw.put(r.buf));
    expect(Object.values(r.fw.ledger).every((n) => n === 0)).toBe(true);
    expect([leavesOf(r), r.vm.table.tables - r.vm.table.idleTables, r.exporter.ledger.sgTables]).toEqual([{}, 1, 0]);
    r.vm.destroy();
    expect(r.machine.memory.tables.liveTables).toBe(0);
    expect(r.fw.findings).toEqual([]);
  });
});

it.each(["dma-address", "linux-7.3"] as const)(
  "S17, %s: KVM has no device, EINVAL at attach, and nothing is left",
  (id) => {
    const r = rig(id, PRIVATE);
    const buf = r.export();
    expect(refusal(() => r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: GIB, buf, offset: 0 })))).toBe("EINVAL@attach");
    expect([buf.refs, buf.attachments.length, r.vm.table.tables]).toEqual([1, 0, 1]);
    expect(endOf(r.run(r.kvm.read(GPA, 8)))).toBe("mmio");
  },
);

it.each(["dma-address", "pfn", "pfn-locked", "annotated-address", "linux-7.3"] as const)(
  "S65, %s: a region that ends within a page is not exported",
  (id) => expect(refusal(() => rig(id, PRIVATE).export(256))).toBe("EINVAL@export"),
);

describe("pfn, as posted", () => {
  it("S17a: the flag needs private memory", () => {
    const r = rig("pfn", { ...POSTED, privateMemory: false });
    const buf = r.export();
    expect(refusal(() => r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: GIB, buf, offset: 0 })))).toBe("EINVAL@memslot");
    expect(buf.refs).toBe(1);
  });

  it("S21a: a slot is the whole buffer", () => {
    const r = rig("pfn", POSTED);
    const buf = r.export();
    const part = { gpa: GPA, sizeBytes: PAGE, buf };
    for (const offset of [0, PAGE])
      expect(refusal(() => r.run(r.kvm.setMemslot({ ...part, offset })))).toBe("EINVAL@memslot");
  });

  it("S23a: the posted exporter says order 0, and every page is a leaf", () => {
    const r = imported("pfn", POSTED);
    for (const page of [0, 1, 2]) r.run(r.kvm.write(gpaAt(page * PAGE), bytes(1)));
    expect(leavesOf(r)).toEqual({ 4: 3 });
  });

  it("S44a: after a reset every access is EIO", () => {
    const r = imported("pfn", POSTED);
    r.run(r.exporter.functionLevelReset());
    expect(refusal(() => r.run(r.kvm.read(GPA, 8)))).toBe("EIO@vcpu-run");
  });
});

describe("S26: the buffer's device is another VM's", () => {
  it.each(["pfn", "pfn-locked"] as const)("%s: EINVAL at memslot; its own VM gets it", (id) => {
    const r = rig(id, PRIVATE);
    r.run(r.exporter.binding.bind({}));
    const buf = r.export();
    const slot = { gpa: GPA, sizeBytes: GIB, buf, offset: 0 };
    expect(refusal(() => r.run(r.kvm.setMemslot(slot)))).toBe("EINVAL@memslot");
    r.run(r.exporter.binding.unbind());
    r.run(r.exporter.binding.bind(r.kvm));
    r.run(r.kvm.setMemslot(slot));
    expect(r.run(r.kvm.write(GPA, bytes(5))).kind).toBe("done");
  });
});
