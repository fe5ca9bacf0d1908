/** Exporters that say what is not so, or what KVM cannot use as it is: never a leaf that leads astray. */
import { refusal } from "@dma-buf/config/refusal";
import {
  addr,
  BugSignal,
  type BusAddr,
  type DmaBufError,
  type Pfn,
  type PfnAnswer,
  pfnOf,
  type Run,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { BAR, bytes, GPA, gpaAt, leavesOf, MIB, PAGE, type Rig, rig, type RigOptions } from "./testing/rig.js";
import { telling } from "./testing/telling.js";

const FIRST = pfnOf(BAR);
const PAGES = (64 * MIB) / PAGE;
const FRAMES = ["vma", "pfn", "pfn-locked"] as const;
type Frames = (typeof FRAMES)[number];

/** A slot over 64 MiB of which the exporter says `frame`. */
function told(id: Frames, frame: (pgoff: number) => PfnAnswer, gpa = GPA, options: RigOptions = {}): Rig {
  const r = rig(id, options);
  r.run(r.kvm.setMemslot({ gpa, sizeBytes: 64 * MIB, buf: telling(r.fw, { pages: PAGES, frame }), offset: 0 }));
  return r;
}

const at = (pgoff: number, maxOrder: number): PfnAnswer => ({ pfn: addr<Pfn>(FIRST + pgoff), maxOrder });

describe.each(FRAMES)("%s", (id) => {
  it("an order between two leaves is rounded down", () => {
    const r = told(id, (pgoff) => at(pgoff, 12));
    r.run(r.kvm.write(gpaAt(5 * MIB), bytes(4)));
    expect([leavesOf(r), r.at(BAR + 5 * MIB)[0]]).toEqual([{ 2048: 1 }, 4]);
  });

  it("frames that are not congruent with the guest's make small leaves, each where it should be", () => {
    const r = told(id, (pgoff) => at(pgoff, 12), gpaAt(PAGE));
    for (const page of [0, 1, 512]) r.run(r.kvm.write(gpaAt((page + 1) * PAGE), bytes(page + 1)));
    expect([0, 1, 512].map((page) => r.at(BAR + page * PAGE)[0])).toEqual([1, 2, 1]);
    expect(leavesOf(r)).toEqual({ 4: 3 });
  });

  it.each<[string, (pgoff: number) => PfnAnswer]>([
    ["an order whose aligned run begins before the buffer", (pgoff) => at(pgoff + 1, 18)],
    ["an order that reaches beyond the buffer's end", (pgoff) => at(pgoff, 18)],
    ["a frame that is no number", () => ({ pfn: Number.NaN as Pfn, maxOrder: 0 })],
    ["an order that is no number", (pgoff) => at(pgoff, -1)],
  ])("%s: refused with the exporter's name, and nothing is mapped", (_name, frame) => {
    const r = told(id, frame);
    const before = r.machine.resources.read();
    expect(refusal(() => r.run(r.kvm.write(gpaAt(MIB), bytes(1))))).toBe(
      id === "vma" ? "EFAULT@vcpu-run" : "EIO@vcpu-run",
    );
    expect([leavesOf(r), r.machine.resources.read()]).toEqual([{}, before]);
    expect(r.fw.findings.some((f) => f.party === "exporter" && f.message.includes("telling"))).toBe(true);
  });
});

it.each(["pfn", "pfn-locked"] as const)(
  "%s: a frame that changes without a word is not believed, and what was told stays",
  (id) => {
    let moved = 0;
    const r = told(id, (pgoff) => at(pgoff + moved, 0));
    r.run(r.kvm.write(GPA, bytes(1)));
    moved = 7;
    const again = { gpa: BigInt(GPA), size: BigInt(PAGE), flags: 0n };
    expect(refusal(() => r.run(r.kvm.preFaultMemory(again)))).toBe("EIO@vcpu-run");
    expect([leavesOf(r), r.vm.table.lookup(GPA)]).toEqual([{ 4: 1 }, BAR]);
  },
);

it("as posted KVM believes the order where frames do not agree: a VM_BUG_ON", () => {
  const options = { privateMemory: true, kvm: { asPosted: true } };
  const r = told("pfn", (pgoff) => at(pgoff, 12), gpaAt(PAGE), options);
  const task = r.scheduler.spawn("vCPU", r.kvm.write(gpaAt(4 * MIB), bytes(1)));
  r.scheduler.run();
  expect(task.error).toBeInstanceOf(BugSignal);
  expect(r.fw.findings.map(({ level, party, requirement }) => [level, party, requirement])).toEqual([
    ["bug", "importer", "kvm/congruent"],
  ]);
});

it("EOPNOTSUPP: a run that is no CPU's address has no place in a second stage", () => {
  const r = rig("annotated-address");
  const attributes = { cache: "uc", snoop: false } as const;
  const place = { kind: "pci-bus", address: addr<BusAddr>(BAR), bridge: {} } as const;
  const foreign: Run = { ...place, offset: 0, sizeBytes: PAGE, attributes };
  const ops = { mapDmaBuf: () => ({ runs: [foreign] }), unmapDmaBuf() {}, release() {} };
  const buf = r.fw.export({ exporterName: "telling", ops, sizeBytes: PAGE, priv: ops });
  r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf, offset: 0 }));
  let error: unknown = null;
  expect(
    refusal(() => {
      try {
        r.run(r.kvm.write(GPA, bytes(1)));
      } catch (thrown) {
        error = thrown;
        throw thrown;
      }
    }),
  ).toBe("EIO@vcpu-run");
  const cause = (error as DmaBufError).cause as DmaBufError;
  expect([cause.code, cause.stage, leavesOf(r)]).toEqual(["EOPNOTSUPP", "map", {}]);
});
