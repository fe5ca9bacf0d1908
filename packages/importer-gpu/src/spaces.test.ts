/** Where a buffer can lie, and how the GPU's entries then look: a BAR, RAM, and memory that a fabric alone reaches. */
import { addr, type PhysAddr } from "@dma-buf/core";
import { Cpu, F_SEAL, MachineMemfds } from "@dma-buf/machine";
import { describe, expect, it } from "vitest";
import { bytes, does, leave, PAGE, read, type Rig, rig, seated, VA, write } from "./testing/rig.js";
import { SERVING, VARIANTS } from "./testing/variants.js";

/** Bits of an entry: the bus and not the GPU's own memory; the CPU's caches are asked; the last two: no caching at all. */
const [SYSTEM, SNOOPED, UC_HIGH] = [2, 4, 0x600_0000];

/** The leaf that leads to `address`, in halves. */
function leaf(r: Rig, address: number): { readonly low: number; readonly high: number } {
  const { words } = r.host.tables;
  for (let i = 0; i < words.length; i += 2) {
    const [low, high] = [(words[i] ?? 0) >>> 0, words[i + 1] ?? 0];
    const leads = (high & 0xffff) * 2 ** 32 + low - (low % PAGE) === address;
    if (leads && (low & 0x21) === 0x21) return { low, high };
  }
  throw new RangeError(`no entry leads to ${address}`);
}

const flags = (r: Rig, address: number): readonly [boolean, boolean, boolean] => {
  const { low, high } = leaf(r, address);
  return [(low & SYSTEM) !== 0, (low & SNOOPED) !== 0, (high & UC_HIGH) === UC_HIGH];
};

describe("a fabric, annotated-address", () => {
  it.each([16, 0])(
    "S08: VRAM of which a BAR shows %i pages is reached over the fabric, as device memory",
    (windowPages) => {
      const r = rig("annotated-address", { inFabric: true, windowPages });
      const before = r.counts();
      const { bo, buf } = r.bo(1);
      const seat = r.run(seated(r.gpu, buf));
      expect(r.run(does(r.gpu, seat, write(7), read()))[1]).toEqual({ kind: "done", bytes: bytes(7) });
      expect([seat.bo.runs[0]?.kind, bo.place?.domain]).toEqual(["device-private", "vram"]);
      expect(r.memory.read("vram", bo.place?.blocks[0]?.start ?? 0, 8)).toEqual(bytes(7));
      expect(flags(r, seat.vm.reaches(VA) ?? 0)).toEqual([false, false, false]);
      // In RAM a fabric's address means nothing: the next job goes over the bus, and finds what was written.
      r.run(r.exporter.move(bo, "gtt"));
      r.run(r.exporter.pin(bo));
      expect(r.run(does(r.gpu, seat, read()))[0]).toEqual({ kind: "done", bytes: bytes(7) });
      expect([seat.bo.runs[0]?.kind, flags(r, seat.vm.reaches(VA) ?? 0)]).toEqual(["pci-bus", [true, true, false]]);
      r.run(r.exporter.unpin(bo));
      r.run(leave(r.gpu, seat));
      r.exporter.close(bo);
      r.run(r.fw.put(buf));
      expect(r.counts()).toEqual(before);
    },
  );

  it("EOPNOTSUPP in a submission: a host that shows no way into it, and a GPU that is not in it (S08b)", () => {
    const r = rig("annotated-address", { inFabric: true, windowPages: 0 });
    const { bo, buf } = r.bo(1);
    r.run(r.exporter.pin(bo));
    const { fabric: _, ...bare } = r.host;
    const gpu = r.importerFor(bare);
    const seat = r.run(seated(gpu, buf));
    const before = gpu.ledger;
    expect(r.answer(() => does(gpu, seat, write(1)))).toBe("EOPNOTSUPP@map");
    expect(gpu.ledger).toEqual(before);
    r.run(leave(gpu, seat));

    const far = rig("annotated-address", { base: "T2", inFabric: true, windowPages: 0 });
    const hidden = far.bo(1);
    far.run(far.exporter.pin(hidden.bo));
    const stranger = far.another(1);
    const outside = far.run(seated(stranger, hidden.buf));
    expect(far.answer(() => does(stranger, outside, write(1)))).toBe("EOPNOTSUPP@map");
    expect(stranger.ledger.runs).toBe(0);
  });
});

describe("how entries are cached", () => {
  it("S59, annotated-address: what the CPU caches is snooped, and a BAR is not cached at all", () => {
    const r = rig("annotated-address");
    const seat = r.run(seated(r.gpu, r.bar(1)));
    r.run(does(r.gpu, seat, write(1)));
    expect(flags(r, seat.vm.reaches(VA) ?? 0)).toEqual([true, false, true]);
  });

  it.each(["dma-address", "pfn", "pfn-locked", "linux-7.3"] as const)(
    "S59, %s: nobody says, and the driver takes all for memory that the CPU caches",
    (id) => {
      const r = rig(id);
      const seat = r.run(seated(r.gpu, r.bar(1)));
      r.run(does(r.gpu, seat, write(1)));
      expect(flags(r, seat.vm.reaches(VA) ?? 0)).toEqual([true, true, false]);
    },
  );
});

it.each(SERVING)(
  "RAM, %s: a job writes where the memory file's page is, behind an IOMMU or not, and gives all back",
  (id) => {
    for (const iommu of ["off", "translated"] as const) {
      const r = rig(id, { base: "T2", machine: { iommu } });
      const memfds = new MachineMemfds(r.machine, {});
      const fd = memfds.create(2 * PAGE);
      memfds.memfd(fd).addSeals(F_SEAL.SHRINK);
      const exporter = VARIANTS[id].udmabuf.udmabufExporter()(r.fw, memfds);
      const before = r.counts();
      const buf = exporter.create([{ memfd: fd, offset: 0, sizeBytes: 2 * PAGE }]);
      const seat = r.run(seated(r.gpu, buf));
      r.run(does(r.gpu, seat, write(6, PAGE)));
      expect(memfds.memfd(fd).read(PAGE, 8)).toEqual(bytes(6));
      r.run(leave(r.gpu, seat));
      r.run(r.fw.put(buf));
      expect(r.counts()).toEqual(before);
      expect(r.fw.findings).toEqual([]);
    }
  },
);

describe("S36a: whoever puts the address into a CPU mapping of his own is not told", () => {
  it.each(SERVING)("%s: after a move he reads the old place", (id) => {
    const r = rig(id);
    const { bo, buf } = r.bo(1);
    const seat = r.run(seated(r.gpu, buf));
    r.run(does(r.gpu, seat, write(1)));
    const cpu = new Cpu(r.machine, "user");
    cpu.map(0x1000_0000, addr<PhysAddr>(seat.bo.runs[0]?.address ?? 0), PAGE, { cache: "uc" });
    const seen = () => r.run(cpu.read(0x1000_0000, 8));
    expect(seen()).toMatchObject({ kind: "done", bytes: bytes(1) });
    r.run(r.exporter.move(bo, "gtt"));
    expect(seen()).not.toMatchObject({ bytes: bytes(1) });
    expect(r.memory.read("gtt", bo.place?.blocks[0]?.start ?? 0, 8)).toEqual(bytes(1));
  });
});
