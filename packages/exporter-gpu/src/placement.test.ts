import { refusal } from "@dma-buf/config/refusal";
import { addr, type DmaAddr, type DmaApi } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import {
  ALL,
  BAR,
  bytes,
  contents,
  MAPPED,
  Nic,
  PAGE,
  refused,
  rig,
  type Rig,
  type RigOptions,
  type VariantId,
} from "./testing/rig.js";
import type { BufferObject, BufferObjectOptions } from "./index.js";

const ID = "linux-7.3";

function world(options: RigOptions = {}, bo: Partial<BufferObjectOptions> = {}) {
  const r = rig(ID, options);
  return { ...r, ...r.shared(2, bo) };
}

function nicOf(r: Rig, buf: Parameters<Nic["attach"]>[0], options?: ConstructorParameters<typeof Nic>[1]): Nic {
  const nic = new Nic(r, options);
  r.run(nic.attach(buf));
  return nic;
}

describe("map", () => {
  it.each(MAPPED)("%s: a peer is given VRAM, who is none RAM, and each takes it from the other", (id) => {
    const r = rig(id);
    const { bo, buf } = r.shared(2);
    const [peer, other] = [nicOf(r, buf), nicOf(r, buf, { peer2peer: false })];
    r.run(peer.use());
    expect([bo.place?.domain, peer.runs.length]).toEqual(["vram", 1]);
    r.run(other.use());
    expect([bo.place?.domain, peer.runs.length, peer.told]).toEqual(["gtt", 0, 1]);
    r.run(peer.use());
    expect([bo.place?.domain, other.runs.length]).toEqual(["vram", 0]);
  });

  it("a buffer that prefers RAM is mapped there, for a peer too", () => {
    const { bo, buf, ...r } = world({}, { preferred: "gtt" });
    r.run(nicOf(r, buf).use());
    expect(bo.place?.domain).toBe("gtt");
  });

  it("what was evicted comes back to VRAM when a peer maps it, if there is room; else it is mapped in RAM", () => {
    const { bo, buf, exporter, run, ...r } = world({ vramPages: 2 });
    const nic = nicOf({ ...r, exporter, run }, buf);
    run(exporter.evict(bo));
    const other = exporter.create({ sizeBytes: PAGE });
    run(nic.use());
    expect(bo.place?.domain).toBe("gtt");
    exporter.close(other);
    for (const to of ["vram", "gtt"] as const) run(exporter.move(bo, to));
    run(nic.use());
    expect(bo.place?.domain).toBe("vram");
  });

  it("S09a: what lies beyond a small window is moved into it", () => {
    const { bo, buf, ...r } = world({ windowPages: 4 }, { noCpuAccess: true });
    expect(bo.place?.blocks[0]?.start).toBe(14 * PAGE);
    const nic = nicOf(r, buf);
    r.run(nic.use());
    expect(bo.place?.blocks).toEqual([{ start: 0, sizeBytes: 2 * PAGE }]);
    r.run(nic.write(8, bytes(7)));
    expect(contents(r, bo, 8)).toEqual(bytes(7));
  });

  it("what a CPU may look at can be put at the end of VRAM too", () => {
    const { bo } = world({ windowPages: 4 }, { topDown: true });
    expect([bo.noCpuAccess, bo.place?.blocks[0]?.start]).toEqual([false, 14 * PAGE]);
  });

  it("pinned beyond the window by its driver, it is refused: EOPNOTSUPP@map", () => {
    const { bo, buf, ...r } = world({ windowPages: 4 }, { noCpuAccess: true });
    r.run(r.exporter.pin(bo));
    const nic = nicOf(r, buf);
    expect(refused(r, () => r.run(nic.use()))).toBe("EOPNOTSUPP@map");
  });

  it("as posted nobody looks at where a pinned buffer is: who is no peer gets an address", () => {
    const { bo, buf, ...r } = world({ exporter: { asPosted: true } });
    r.run(r.exporter.pin(bo));
    const nic = nicOf(r, buf, { peer2peer: false });
    r.run(nic.use());
    expect([bo.place?.domain, nic.runs.length]).toEqual(["vram", 1]);
  });

  it("as posted, pinned beyond the window: an address behind the window's end, and what is written there is lost", () => {
    const r = world({ windowPages: 4, inFabric: true, exporter: { asPosted: true } }, { noCpuAccess: true });
    r.run(r.exporter.pin(r.bo));
    const nic = nicOf(r, r.buf);
    r.run(nic.use());
    expect(nic.runs[0]?.address).toBe(BAR + (r.bo.place?.blocks[0]?.start ?? 0));
    r.run(nic.write(0, bytes(7)));
    expect(contents(r, r.bo)).toEqual(bytes(0));
  });

  it("as posted, where no BAR shows VRAM there is no address to give: EOPNOTSUPP@map", () => {
    const r = world({ windowPages: 0, exporter: { asPosted: true } });
    r.run(r.exporter.pin(r.bo));
    const nic = nicOf(r, r.buf);
    expect(refused(r, () => r.run(nic.use()))).toBe("EOPNOTSUPP@map");
  });

  it("pinned in VRAM, who is no peer is refused: EOPNOTSUPP@map", () => {
    const { bo, buf, ...r } = world();
    r.run(r.exporter.pin(bo));
    const nic = nicOf(r, buf, { peer2peer: false });
    expect(refused(r, () => r.run(nic.use()))).toBe("EOPNOTSUPP@map");
  });

  it("no room in RAM: ENOMEM@map, and it stays in VRAM", () => {
    const { bo, buf, ...r } = world({ ramPages: 1 });
    const nic = nicOf(r, buf, { peer2peer: false });
    expect(refused(r, () => r.run(nic.use()))).toBe("ENOMEM@map");
    expect(bo.place?.domain).toBe("vram");
  });

  it.each<[string, boolean]>([
    ["amdgpu_vram_mgr_alloc_sgt", true],
    ["drm_prime_pages_to_sg", false],
    ["ttm_resource_alloc", false],
    ["amdgpu_job_alloc_with_ib", false],
    ["dma_resv_reserve_fences", false],
  ])("%s without memory: ENOMEM, and the next map works", (op, peer2peer) => {
    let fails = false;
    const { bo, buf, ...r } = world({ framework: { allocFails: (name) => fails && name === op } });
    const [nic, first] = [nicOf(r, buf, { peer2peer }), nicOf(r, buf)];
    r.run(first.use());
    const places = r.exporter.ledger.vramBytes;
    fails = true;
    expect(refusal(() => r.run(nic.use()))).toMatch(/^ENOMEM@(map|lock)$/);
    const { vramBytes, gttBytes, tables } = r.exporter.ledger;
    expect([vramBytes + gttBytes, tables]).toEqual([places, r.fw.ledger.mappings]);
    fails = false;
    r.run(nic.use());
    expect(bo.place?.domain).toBe(peer2peer ? "vram" : "gtt");
    for (const n of [nic, first]) r.run(n.detach());
    r.run(r.fw.put(buf));
    expect(Object.values(r.counts()).every((n) => n === 0)).toBe(true);
  });

  it("the DMA API's refusal of RAM is passed on; as posted it is EBUSY@map whatever it was", () => {
    const answer = (asPosted: boolean) => {
      const { buf, ...r } = world({ machine: { dmaMaskBits: 24, swiotlbBytes: 0 }, exporter: { asPosted } });
      const nic = nicOf(r, buf, { peer2peer: false });
      r.run(r.exporter.evict(buf.priv as never));
      return refused(r, () => r.run(nic.use()));
    };
    expect([false, true].map(answer)).toEqual(["EIO@map", "EBUSY@map"]);
  });

  it("as posted, what is no refusal but a mistake of the DMA API's stays what it is", () => {
    const { buf, ...r } = world({ exporter: { asPosted: true } });
    const nic = nicOf(r, buf, { peer2peer: false });
    const broken = (): never => {
      throw new TypeError("a mistake");
    };
    Object.assign(r.device.dma, { mapPhys: broken });
    expect(() => r.run(nic.use())).toThrow(TypeError);
  });

  describe("S60a: a device that does not reach RAM", () => {
    const narrow = (id: VariantId, asPosted: boolean) => {
      const r = rig(id, { ramBase: 2 ** 30, machine: { dmaMaskBits: 30 }, exporter: { asPosted } });
      const shared = r.shared(2);
      const nic = nicOf(r, shared.buf, { peer2peer: false });
      r.run(r.exporter.evict(shared.bo));
      return { ...r, ...shared, nic };
    };

    it.each(MAPPED)("%s: is refused, and nothing bounces: EIO@map", (id) => {
      const r = narrow(id, false);
      expect(refused(r, () => r.run(r.nic.use()))).toBe("EIO@map");
    });

    it.each(["dma-address", "linux-7.3"] as const)("%s as posted: it writes to a copy that nobody reads", (id) => {
      const r = narrow(id, true);
      r.run(r.nic.use());
      expect(r.nic.runs[0]?.address).toBeLessThan(2 ** 30);
      expect(r.run(r.nic.write(0, bytes(9)))).toMatchObject({ kind: "done" });
      expect(contents(r, r.bo)).toEqual(bytes(0));
    });
  });

  it.each([false, true])("RAM is mapped as RAM, VRAM as device memory (as posted: %s)", (asPosted) => {
    const { buf, run, fw, device, ...r } = world({ exporter: { asPosted }, base: "T2", allowlisted: true });
    const asked: boolean[] = [];
    const dma: Pick<DmaApi, "maskBits" | "mapPhys" | "unmapPhys" | "tryAllocIova"> = {
      maskBits: 64,
      mapPhys(physical, _sizeBytes, _direction, { mmio }) {
        asked.push(mmio);
        return addr<DmaAddr>(physical);
      },
      unmapPhys() {},
      tryAllocIova: () => null,
    };
    const spied = Object.create(device, { dma: { value: dma }, spaces: { value: [] } }) as typeof device;
    const nic = new Nic({ ...r, run, fw, device }, {}, spied);
    run(nic.attach(buf));
    run(nic.use());
    run(r.exporter.evict(buf.priv as BufferObject));
    run(r.exporter.pin(buf.priv as BufferObject));
    run(nic.use());
    expect(asked).toEqual([true, false]);
  });

  it("for a direction there are as many tables as maps, and each is given back", () => {
    const { buf, fw, exporter, run, ...r } = world();
    const { attachment } = nicOf({ fw, exporter, run, ...r }, buf);
    const tables = [1, 2].map(() => run(fw.mapAttachmentUnlocked(attachment, "to-device")));
    expect([exporter.ledger.tables, tables[0] === tables[1]]).toEqual([2, false]);
    for (const table of tables) run(fw.unmapAttachmentUnlocked(attachment, table, "to-device"));
    expect(exporter.ledger.tables).toBe(0);
  });
});

describe("pin", () => {
  it("all peers: it stays in VRAM, in the window, and does not move: EBUSY@map", () => {
    const { bo, buf, ...r } = world({ windowPages: 4 }, { noCpuAccess: true });
    const nic = nicOf(r, buf);
    r.run(nic.pin());
    expect([bo.place?.blocks[0]?.start, bo.pinCount]).toEqual([0, 1]);
    expect(refused(r, () => r.run(r.exporter.evict(bo)))).toBe("EBUSY@map");
    r.run(nic.unpin());
    r.run(r.exporter.evict(bo));
    expect(bo.place?.domain).toBe("gtt");
  });

  it("who may have to move it promises nothing: EINVAL@pin; as posted it does", () => {
    const pins = (asPosted: boolean) => {
      const { buf, ...r } = world({ exporter: { pinnable: false, asPosted } });
      const nic = nicOf(r, buf);
      return asPosted ? refusal(() => r.run(nic.pin())) : refused(r, () => r.run(nic.pin()));
    };
    expect([pins(false), pins(true)]).toEqual(["EINVAL@pin", "ok"]);
  });

  it("anybody on the list who is no peer: it is pinned in RAM, whoever pins", () => {
    const { bo, buf, ...r } = world();
    const nic = nicOf(r, buf);
    nicOf(r, buf, { peer2peer: false });
    r.run(nic.pin());
    expect(bo.place?.domain).toBe("gtt");
  });

  it("a buffer that prefers RAM is pinned there, though all are peers", () => {
    const { bo, buf, ...r } = world({}, { preferred: "gtt" });
    r.run(nicOf(r, buf).pin());
    expect(bo.place?.domain).toBe("gtt");
  });

  it("S40b: a static importer has it in RAM", () => {
    const { bo, buf, ...r } = world();
    const nic = nicOf(r, buf, { isStatic: true });
    r.run(nic.use());
    expect([bo.place?.domain, bo.pinCount]).toEqual(["gtt", 1]);
    r.run(nic.detach());
    expect(bo.pinCount).toBe(0);
  });

  it("in VRAM already, and somebody came who is no peer: EINVAL@pin", () => {
    const { bo, buf, ...r } = world();
    const nic = nicOf(r, buf);
    r.run(nic.pin());
    const other = nicOf(r, buf, { peer2peer: false });
    expect(refused(r, () => r.run(other.pin()))).toBe("EINVAL@pin");
    expect(bo.place?.domain).toBe("vram");
    r.run(nic.unpin());
    r.run(other.pin());
    expect(bo.place?.domain).toBe("gtt");
  });

  it("without a window all of VRAM is as good: peers of the fabric have it pinned there", () => {
    const r = rig(ID, { windowPages: 0, inFabric: true });
    r.fabric.join(r.device);
    const { bo, buf } = r.shared(1);
    r.run(nicOf(r, buf).pin());
    expect([bo.place?.domain, bo.pinCount]).toEqual(["vram", 1]);
  });

  it("no domain left: EINVAL@pin, and a warning", () => {
    const { buf, ...r } = world({ exporter: { asPosted: true } }, { allowed: ["vram"] });
    const nic = nicOf(r, buf, { peer2peer: false });
    expect(refused(r, () => r.run(nic.pin()))).toBe("EINVAL@pin");
    expect(r.fw.findings).toMatchObject([{ level: "warn", requirement: "linux-7.3/pin" }]);
  });

  it("in RAM already, peers alone are content with that; as posted only the preferred domain is: EINVAL@pin", () => {
    const answer = (asPosted: boolean): string => {
      const { buf, ...r } = world({ exporter: { asPosted } });
      const [nic, other] = [nicOf(r, buf), nicOf(r, buf, { peer2peer: false })];
      r.run(other.pin());
      r.run(r.fw.detachAttachment(buf, other.attachment));
      const before = r.exporter.ledger.pins;
      const said = refusal(() => r.run(nic.pin()));
      expect(r.exporter.ledger.pins).toBe(said === "ok" ? before + 1 : before);
      return said;
    };
    expect([false, true].map(answer)).toEqual(["ok", "EINVAL@pin"]);
  });

  it("no room where it may be pinned: ENOMEM@pin", () => {
    const { bo, buf, ...r } = world({ ramPages: 1 });
    const nic = nicOf(r, buf, { peer2peer: false });
    expect(refused(r, () => r.run(nic.pin()))).toBe("ENOMEM@pin");
    expect([bo.place?.domain, bo.pinCount]).toEqual(["vram", 0]);
  });

  it("the window is full: peers are pinned in RAM; as posted ENOMEM@pin", () => {
    const pin = (asPosted: boolean) => {
      const { bo, buf, ...r } = world({ windowPages: 2, exporter: { asPosted } }, { noCpuAccess: true });
      r.exporter.create({ sizeBytes: PAGE });
      const nic = nicOf(r, buf);
      const said = asPosted ? refused(r, () => r.run(nic.pin())) : refusal(() => r.run(nic.pin()));
      return [said, bo.place?.domain];
    };
    expect(pin(false)).toEqual(["ok", "gtt"]);
    expect(pin(true)).toEqual(["ENOMEM@pin", "vram"]);
  });

  it("one unpin too many is a warning, by importer and driver", () => {
    const { bo, buf, ...r } = world();
    const nic = nicOf(r, buf);
    r.run(nic.unpin());
    r.run(r.exporter.unpin(bo));
    expect(bo.pinCount).toBe(0);
    expect(r.fw.findings.filter((f) => f.level === "warn").map((f) => f.party)).toEqual(["importer", "exporter"]);
  });
});

describe("a table that is unmapped", () => {
  it.each(ALL)("%s: leaves no mapping in a translated domain", (id) => {
    const r = rig(id, { base: "T2", allowlisted: true, machine: { iommu: "translated" } });
    const { buf } = r.shared(2);
    const nic = new Nic(r);
    const before = r.machine.ledger.dmaMappings;
    r.run(nic.attach(buf));
    r.run(nic.use());
    r.run(nic.write(0, bytes(1)));
    r.run(nic.detach());
    expect(r.machine.ledger.dmaMappings).toBe(before);
  });
});
