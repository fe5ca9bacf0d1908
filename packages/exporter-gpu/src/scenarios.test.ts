import { addr, type DmaAddr, type Op } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import {
  ALL,
  allQuiet,
  BAR,
  bytes,
  contents,
  MAPPED,
  Nic,
  PAGE,
  RAM,
  refused,
  rig,
  type RigOptions,
  type VariantId,
} from "./testing/rig.js";
import { FABRIC_ADDRESS, type FabricAddresses } from "./index.js";

/** Attaches, maps, writes; where the bytes are then. */
function written(id: VariantId, options: RigOptions = {}) {
  const r = rig(id, options);
  const shared = r.shared(2);
  const nic = new Nic(r);
  r.run(nic.attach(shared.buf));
  r.run(nic.use());
  const result = r.run(nic.write(0, bytes(7)));
  return { ...r, ...shared, nic, result, arrived: contents(r, shared.bo)[0] === 7 };
}

describe("S02c: a switch, and a bus that counts from another zero", () => {
  const OFFSET: RigOptions = { busOffsetBytes: 2 ** 30 };

  it.each(MAPPED)("%s: the best exporter puts the bus's number on the bus", (id) => {
    const { arrived, bo, nic } = written(id, OFFSET);
    expect([arrived, bo.place?.domain, nic.runs[0]?.address]).toEqual([true, "vram", BAR - 2 ** 30]);
  });

  it.each(["dma-address", "linux-7.3"] as const)(
    "%s: as posted the CPU's number goes out, and the bytes do not arrive",
    (id) => {
      const { arrived, nic } = written(id, { ...OFFSET, exporter: { asPosted: true } });
      expect([arrived, nic.runs[0]?.address]).toEqual([false, BAR]);
    },
  );
});

it.each(MAPPED)("S04a, %s: no route, and the buffer is in RAM", (id) => {
  const { arrived, bo } = written(id, { acsRedirect: true });
  expect([arrived, bo.place?.domain]).toEqual([true, "gtt"]);
});

it.each(MAPPED)("S08a, %s: a GPU in a fabric gives a NIC the BAR's address", (id) => {
  const { arrived, nic } = written(id, { inFabric: true });
  expect([arrived, nic.runs[0]?.address]).toEqual([true, BAR]);
});

describe("S08c: an exporter that does not look, and memory that only a fabric reaches", () => {
  const options: RigOptions = { windowPages: 0, inFabric: true, exporter: { checksImporter: false } };

  it.each(["dma-address", "linux-7.3"] as const)("%s: a number is a number, and the write lands elsewhere", (id) => {
    const { arrived, nic, machine } = written(id, options);
    expect(nic.runs).toEqual([{ kind: "dma", offset: 0, sizeBytes: 2 * PAGE, address: PAGE }]);
    expect([arrived, machine.memory.read(PAGE, 8)]).toEqual([false, bytes(7)]);
  });

  it.each(["dma-address", "linux-7.3"] as const)("%s: where the BAR shows it, the BAR's address is given", (id) => {
    const { arrived, nic } = written(id, { inFabric: true, exporter: { checksImporter: false } });
    expect([arrived, nic.runs[0]?.address]).toEqual([true, BAR]);
  });

  it("annotated-address: the address says whose it is", () => {
    const r = rig("annotated-address", options);
    const nic = new Nic(r);
    r.run(nic.attach(r.shared(2).buf));
    r.run(nic.use());
    expect(nic.runs[0]).toMatchObject({ kind: "device-private", fabric: r.fabric });
    expect(r.run(nic.write(0, bytes(7)))).toMatchObject({ kind: "lost" });
  });
});

describe("a peer in the fabric", () => {
  function peer(id: VariantId, options: RigOptions = {}) {
    const r = rig(id, { inFabric: true, ...options });
    r.fabric.join(r.device);
    const shared = r.shared(2);
    const nic = new Nic(r);
    r.run(nic.attach(shared.buf));
    return {
      ...r,
      ...shared,
      nic,
      device: r.device,
      fabricOf: shared.buf.ops.interfaces?.get(FABRIC_ADDRESS) as FabricAddresses,
    };
  }

  it.each([0, 16])(
    "annotated-address: gets the fabric's addresses of VRAM, whether or not a BAR of %i pages shows it",
    (n) => {
      const { nic, bo, run, fabric, ...r } = peer("annotated-address", { windowPages: n });
      run(nic.use());
      const attributes = { cache: "wc", snoop: false };
      expect(nic.runs).toEqual([
        { kind: "device-private", fabric, offset: 0, sizeBytes: 2 * PAGE, address: PAGE, attributes },
      ]);
      run(nic.write(8, bytes(7)));
      expect(contents({ ...r, run, fabric }, bo, 8)).toEqual(bytes(7));
    },
  );

  it.each([false, true])("a plain table would not say so: EINVAL@map, and a warning (as posted: %s)", (asPosted) => {
    const r = peer("linux-7.3", { exporter: { asPosted } });
    expect(refused(r, () => r.run(r.nic.use()))).toBe("EINVAL@map");
    expect(r.fw.findings).toMatchObject([{ level: "warn", requirement: "linux-7.3/map_dma_buf" }]);
  });

  it("is told by the private interface, and its bytes arrive; in RAM it is told to map", () => {
    const { fabricOf, nic, device, buf, bo, run, fabric, exporter, ...r } = peer("linux-7.3");
    const ask = () =>
      run(
        (function* () {
          using held = yield* buf.resv.lock();
          return yield* fabricOf.blocks(nic.attachment, held);
        })(),
      );
    const blocks = ask();
    expect([fabricOf.fabric, blocks]).toEqual([fabric, [{ address: PAGE, sizeBytes: 2 * PAGE }]]);
    run(fabric.write(device, addr(PAGE), bytes(7)));
    expect(contents({ ...r, device, run, fabric, exporter }, bo)).toEqual(bytes(7));
    run(exporter.evict(bo));
    run(exporter.pin(bo));
    expect(ask()).toBeNull();
  });

  it("who is not in the fabric is refused by it: EOPNOTSUPP@map", () => {
    const r = rig("linux-7.3", { inFabric: true });
    const { buf } = r.shared(1);
    const nic = new Nic(r);
    r.run(nic.attach(buf));
    const fabricOf = buf.ops.interfaces?.get(FABRIC_ADDRESS) as FabricAddresses;
    function* ask() {
      using held = yield* buf.resv.lock();
      return yield* fabricOf.blocks(nic.attachment, held);
    }
    expect(refused(r, () => r.run(ask()))).toBe("EOPNOTSUPP@map");
    expect(rig("linux-7.3").shared(1).buf.ops.interfaces).toBeUndefined();
  });
});

describe("annotated-address", () => {
  it("RAM is cached and looks into the CPU's caches, VRAM is neither", () => {
    const { nic, bo, run, exporter } = written("annotated-address", {
      base: "T2",
      allowlisted: true,
      machine: { iommu: "translated" },
    });
    expect(nic.runs[0]).toMatchObject({ kind: "iova", attributes: { cache: "wc", snoop: false } });
    run(exporter.evict(bo));
    run(exporter.pin(bo));
    expect(() => run(nic.use())).not.toThrow();
    expect(nic.runs[0]).toMatchObject({ kind: "iova", attributes: { cache: "wb", snoop: true } });
  });

  it("below a switch VRAM is an address of the bus", () => {
    expect(written("annotated-address").nic.runs[0]).toMatchObject({ kind: "pci-bus", address: BAR });
  });

  it("RAM for an importer without a device is the CPU's address", () => {
    const r = rig("annotated-address", { exporter: { tellsFrames: true } });
    const nic = new Nic(r, { withoutDevice: true, peer2peer: false });
    r.run(nic.attach(r.shared(1).buf));
    r.run(nic.use());
    const attributes = { cache: "wb", snoop: true };
    expect(nic.runs).toEqual([{ kind: "cpu-physical", offset: 0, sizeBytes: PAGE, address: RAM, attributes }]);
  });
});

describe("S67a: a late write after the memory was taken, lazily flushed", () => {
  const late = (id: VariantId, asPosted: boolean) => {
    const { run, exporter, bo, nic, device, memory } = written(id, {
      base: "T2",
      allowlisted: true,
      machine: { iommu: "translated", flush: "lazy" },
      exporter: { asPosted },
    });
    const [was] = nic.runs;
    run(exporter.lose(bo));
    expect(nic.runs).toEqual([]);
    const { kind } = run(device.write(addr<DmaAddr>(was?.address ?? 0), bytes(9)));
    return [kind, memory.read("vram", 0, 1)[0] === 9];
  };

  it.each(MAPPED)("%s: the best exporter unmaps with the call that flushes, and the write is stopped", (id) => {
    expect(late(id, false)).toEqual(["fault", false]);
  });

  it.each(["dma-address", "linux-7.3"] as const)("%s: as posted it lands where another buffer may be by then", (id) => {
    expect(late(id, true)).toEqual(["done", true]);
  });
});

describe("S68c: the GPU is pulled out, and its addresses are another card's", () => {
  const removed = (id: VariantId, asPosted: boolean) => {
    const world = written(id, { exporter: { asPosted } });
    const { run, exporter, nic } = world;
    const open = exporter.create({ sizeBytes: PAGE });
    run(exporter.remove());
    return { ...world, open, holds: nic.runs.length, told: nic.told };
  };

  it.each(ALL)("%s: importers are told and have let go; who comes later gets ENODEV", (id) => {
    const r = removed(id, false);
    expect([r.holds, r.told]).toEqual([0, 1]);
    expect(r.exporter.ledger).toMatchObject({ vramBytes: 0, gttBytes: 0, tables: 0 });
    expect(refused(r, () => r.run(r.nic.use()))).toMatch(/^ENODEV@(map|query|mmap)$/);
    const late = new Nic(r);
    expect(refused(r, () => r.run(late.attach(r.buf)))).toMatch(/^ENODEV@(attach|mmap)$/);
    expect(refused(r, () => r.exporter.create({ sizeBytes: PAGE }))).toBe("ENODEV@export");
    expect(refused(r, () => r.exporter.export(r.open))).toBe("ENODEV@export");
    expect(refused(r, () => r.run(r.exporter.evict(r.bo)))).toBe("ENODEV@map");
    expect(refused(r, () => r.run(r.exporter.pin(r.bo)))).toBe("ENODEV@pin");
  });

  it.each(["dma-address", "linux-7.3"] as const)(
    "%s: as posted nobody is told, and the NIC writes into the next card",
    (id) => {
      const r = removed(id, true);
      expect([r.holds, r.told]).toEqual([1, 0]);
      r.run(r.nic.write(0, bytes(9)));
      expect(r.machine.memory.read(BAR, 8)).toEqual(bytes(9));
      expect(refused(r, () => r.run(r.fw.mapAttachmentUnlocked(r.nic.attachment, "to-device")))).toBe("ENODEV@map");
    },
  );
});

describe("memory that is taken away", () => {
  it("twice is once; a pin does not keep it, and can still be undone", () => {
    const r = written("linux-7.3");
    r.run(r.nic.pin());
    r.run(r.exporter.lose(r.bo));
    r.run(r.exporter.lose(r.bo));
    expect([r.nic.told, r.bo.place]).toEqual([1, null]);
    expect(refused(r, () => r.run(r.nic.pin()))).toBe("ENODEV@pin");
    r.run(r.nic.unpin());
    r.run(r.nic.detach());
    r.run(r.fw.put(r.buf));
    expect(Object.values(r.counts()).every((n) => n === 0)).toBe(true);
  });

  it("an importer that tries to map from inside its callback finds it gone", () => {
    const r = rig("linux-7.3");
    const { bo, buf } = r.shared(1);
    const answers: string[] = [];
    const at = r.run(
      r.fw.dynamicAttach(buf, r.device, {
        name: "eager",
        ops: {
          allowPeer2peer: true,
          *invalidateMappings(attachment, held) {
            try {
              yield* r.fw.mapAttachment(attachment, "to-device", held);
            } catch (error) {
              answers.push((error as { code: string }).code);
            }
          },
        },
      }),
    );
    r.run(r.exporter.lose(bo));
    expect(answers).toEqual(["ENODEV"]);
    r.run(r.fw.detachAttachment(buf, at));
  });

  it("HANG: an importer that never unmaps keeps it waiting, by name; as posted only fences are waited for", () => {
    const end = (asPosted: boolean) => {
      const r = rig("linux-7.3", { exporter: { asPosted } });
      const bo = r.exporter.create({ sizeBytes: PAGE });
      const nic = new Nic(r, { ignores: true });
      r.run(nic.attach(r.exporter.export(bo)));
      r.run(nic.use());
      r.scheduler.spawn("lose", r.exporter.lose(bo));
      return r.scheduler.run();
    };
    expect(end(false)).toMatchObject({ kind: "deadlock", waits: [{ blockedOn: "unmap by nic" }] });
    expect(end(true)).toEqual({ kind: "done" });
  });

  it.each(ALL)("%s: a kernel mapping is waited for, by name; as it ends the memory goes", (id) => {
    const r = rig(id);
    const { bo, buf } = r.shared(1);
    const map = r.run(r.fw.vmapBufferUnlocked(buf));
    const task = r.scheduler.spawn("lose", r.exporter.lose(bo));
    let seen: unknown[] = [];
    function* unmap(): Op<void> {
      yield* allQuiet(r.scheduler);
      seen = [task.wait?.blockedOn?.(), r.exporter.ledger.vramBytes];
      yield* r.fw.vunmapBufferUnlocked(buf, map);
    }
    r.run(unmap());
    expect(seen).toEqual(["vunmap by 1 user(s) of the kernel's mapping", PAGE]);
    expect([task.state, r.exporter.ledger.vramBytes, bo.pinCount]).toEqual(["done", 0, 0]);
  });

  it("under 6.13 nobody waits for the unmap", () => {
    const r = rig("dma-address");
    const { bo, buf } = r.shared(1);
    const nic = new Nic(r, { ignores: true });
    r.run(nic.attach(buf));
    r.run(nic.use());
    r.run(r.exporter.lose(bo));
    expect(nic.told).toBe(1);
  });
});
