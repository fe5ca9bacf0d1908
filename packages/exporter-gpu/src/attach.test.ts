import { DeviceFabric } from "@dma-buf/machine";
import { describe, expect, it } from "vitest";
import { BAR, MAPPED, Nic, PAGE, refused, rig, type RigOptions, type VariantId } from "./testing/rig.js";

function attached(id: VariantId, options: RigOptions = {}, nicOptions: ConstructorParameters<typeof Nic>[1] = {}) {
  const r = rig(id, options);
  const shared = r.shared(1);
  const nic = new Nic(r, nicOptions);
  r.run(nic.attach(shared.buf));
  return { ...r, ...shared, nic };
}

const NO_ROUTE: RigOptions = { base: "T1", acsRedirect: true };

describe("peer2peer", () => {
  it.each<[string, VariantId, RigOptions, boolean]>([
    ["a route", "linux-7.3", {}, true],
    ["a route, page frames", "pfn-locked", {}, true],
    ["no route", "linux-7.3", NO_ROUTE, false],
    ["no route, page frames", "pfn-locked", NO_ROUTE, false],
    ["a bus with an offset", "linux-7.3", { busOffsetBytes: 2 ** 30 }, true],
    ["a bus with an offset, page frames", "pfn-locked", { busOffsetBytes: 2 ** 30 }, false],
    ["no route, mapped by the exporter", "annotated-address", NO_ROUTE, false],
    ["no BAR", "linux-7.3", { windowPages: 0 }, false],
    ["no BAR, page frames", "pfn-locked", { windowPages: 0 }, false],
  ])("%s, %s: as it is after attach", (_name, id, options, expected) => {
    const { nic, fw } = attached(id, options);
    expect(nic.attachment.peer2peer).toBe(expected);
    if (!expected) expect(fw.trace.events.some((e) => e.text.includes("nic is no peer"))).toBe(true);
  });

  it.each(MAPPED)("%s: the GPU's own function, at distance 0, is a peer", (id) => {
    const r = rig(id);
    const nic = new Nic(r, {}, r.machine.device(r.memory.name));
    r.run(nic.attach(r.shared(1).buf));
    expect(nic.attachment.peer2peer).toBe(true);
  });

  it("is not raised for who does not take it", () => {
    expect(attached("linux-7.3", {}, { peer2peer: false }).nic.attachment.peer2peer).toBe(false);
  });

  it("without a device nothing can be asked: page frames are a peer's as it wishes", () => {
    expect(attached("pfn-locked", {}, { withoutDevice: true }).nic.attachment.peer2peer).toBe(true);
  });

  it("a member of the fabric is a peer whatever PCI says", () => {
    const r = rig("linux-7.3", { ...NO_ROUTE, inFabric: true });
    r.fabric.join(r.device);
    const nic = new Nic(r);
    r.run(nic.attach(r.shared(1).buf));
    expect(nic.attachment.peer2peer).toBe(true);
  });
});

it("a member of another fabric is none of this one", () => {
  const r = rig("linux-7.3", { ...NO_ROUTE, inFabric: true });
  new DeviceFabric(r.machine, "another").join(r.device);
  const nic = new Nic(r);
  r.run(nic.attach(r.shared(1).buf));
  expect(nic.attachment.peer2peer).toBe(false);
});

it("no BAR, and nobody is a peer by page frames, without a device either", () => {
  const r = rig("pfn-locked", { windowPages: 0 });
  const { buf } = r.shared(1, { allowed: ["vram"] });
  const nic = new Nic(r, { withoutDevice: true });
  r.run(nic.attach(buf));
  expect(nic.attachment.peer2peer).toBe(false);
  expect(refused(r, () => r.run(nic.use()))).toBe("EOPNOTSUPP@query");
});

describe("runtime power (S16)", () => {
  const asleep = (asPosted: boolean, driver: "amdgpu" | "xe" = "amdgpu") => {
    const r = rig("linux-7.3", { exporter: { asPosted, driver } });
    const shared = r.shared(1);
    r.memory.suspend();
    const nic = new Nic(r);
    r.run(nic.attach(shared.buf));
    return { ...r, ...shared, nic };
  };

  it("the best exporter wakes up, stays awake until detach, and gives it back", () => {
    const { nic, memory, exporter, run } = asleep(false);
    expect([nic.attachment.peer2peer, memory.active, exporter.ledger.runtimeRefs]).toEqual([true, true, 1]);
    expect(memory.suspend()).toBe(false);
    run(nic.detach());
    expect([exporter.ledger.runtimeRefs, memory.suspend()]).toEqual([0, true]);
  });

  it("as posted a GPU that sleeps is no peer", () => {
    const { nic, memory, exporter, run } = asleep(true);
    expect([nic.attachment.peer2peer, memory.active, exporter.ledger.runtimeRefs]).toEqual([false, false, 0]);
    run(nic.detach());
    expect(memory.ledger.gpuRuntimeRefs).toBe(0);
  });

  it("as posted xe wakes it", () => {
    const { nic, memory, exporter } = asleep(true, "xe");
    expect([nic.attachment.peer2peer, memory.active, exporter.ledger.runtimeRefs]).toEqual([true, true, 1]);
  });

  it("as posted one that is awake is kept so", () => {
    expect(attached("linux-7.3", { exporter: { asPosted: true } }).exporter.ledger.runtimeRefs).toBe(1);
  });

  it("who is no peer keeps nobody awake", () => {
    expect(attached("linux-7.3", {}, { peer2peer: false }).exporter.ledger.runtimeRefs).toBe(0);
  });
});

describe("memory that only VRAM can be", () => {
  const vramOnly = (id: VariantId, options: RigOptions) => {
    const r = rig(id, options);
    const { buf } = r.shared(1, { allowed: ["vram"] });
    return { r, buf, nic: new Nic(r) };
  };

  it.each<[VariantId, string]>([
    ["dma-address", "EOPNOTSUPP@attach"],
    ["linux-7.3", "EOPNOTSUPP@attach"],
  ])("S08b, %s: who does not reach it is refused with %s", (id, expected) => {
    for (const options of [{ windowPages: 0, inFabric: true }, NO_ROUTE]) {
      const { r, buf, nic } = vramOnly(id, options);
      expect(refused(r, () => r.run(nic.attach(buf)))).toBe(expected);
    }
  });

  it.each<[VariantId, string]>([
    ["annotated-address", "EOPNOTSUPP@map"],
    ["pfn", "EOPNOTSUPP@query"],
    ["pfn-locked", "EOPNOTSUPP@query"],
  ])("S08b, %s: it attaches, and is refused with %s", (id, expected) => {
    const { r, buf, nic } = vramOnly(id, { windowPages: 0, inFabric: true });
    r.run(nic.attach(buf));
    expect(refused(r, () => r.run(nic.use()))).toBe(expected);
  });

  it.each(MAPPED)("%s: a peer attaches, and is given VRAM", (id) => {
    const { r, buf, nic } = vramOnly(id, {});
    r.run(nic.attach(buf));
    r.run(nic.use());
    expect(nic.runs[0]?.address).toBe(BAR);
  });

  it.each(["pfn", "pfn-locked", "annotated-address"] as const)(
    "%s: nothing was posted, and nothing is as posted",
    (id) => {
      const r = rig(id, { exporter: { asPosted: true } });
      const { bo, buf } = r.shared(1);
      const nic = new Nic(r);
      r.run(nic.attach(buf));
      r.run(nic.use());
      r.exporter.close(bo);
      // As posted, the closed handle would keep it from being told.
      r.run(r.exporter.evict(bo));
      expect(nic.told).toBe(1);
    },
  );

  it("as posted amdgpu refuses nobody at attach; the map does", () => {
    const { r, buf, nic } = vramOnly("linux-7.3", { ...NO_ROUTE, exporter: { asPosted: true } });
    r.run(nic.attach(buf));
    expect(refused(r, () => r.run(nic.use()))).toBe("EOPNOTSUPP@map");
  });
});

describe("S39b: memory that may be taken from who pinned it", () => {
  const attach = (id: VariantId, exporter: RigOptions["exporter"]) => {
    const r = rig(id, { exporter: exporter ?? {} });
    const { buf } = r.shared(1);
    return refused(r, () => {
      const nic = new Nic(r, { unnotified: true });
      r.run(nic.attach(buf));
      r.run(nic.detach());
    });
  };

  it("under Linux 7.3 an importer that cannot be told is refused: EOPNOTSUPP@attach", () => {
    expect(attach("linux-7.3", { losesMemory: true })).toBe("EOPNOTSUPP@attach");
  });

  it("as posted, and where memory stays, it is served", () => {
    expect(attach("linux-7.3", { losesMemory: true, asPosted: true })).toBe("ok");
    expect(attach("linux-7.3", {})).toBe("ok");
  });

  it("who can be told attaches", () => {
    const { nic, exporter } = attached("linux-7.3", { exporter: { losesMemory: true } });
    expect(nic.attachment.peer2peer).toBe(true);
    expect(exporter.ledger.runtimeRefs).toBe(1);
  });
});

describe("without a device (S19a)", () => {
  it.each<[VariantId, string]>([
    ["dma-address", "EINVAL@attach"],
    ["linux-7.3", "EINVAL@attach"],
    ["pfn", "EINVAL@attach"],
    ["pfn-locked", "ok"],
    ["annotated-address", "EOPNOTSUPP@attach"],
    ["vma", "ok"],
  ])("%s: %s", (id, expected) => {
    const r = rig(id);
    const { buf } = r.shared(1);
    const nic = new Nic(r, { withoutDevice: true });
    const attach = () => attachAndDetach(r, nic, buf);
    expect(attach()).toBe(expected);
  });

  it("an exporter of annotated addresses that tells frames does", () => {
    const { nic, run, bo } = attached(
      "annotated-address",
      { exporter: { tellsFrames: true } },
      { withoutDevice: true },
    );
    run(nic.use());
    const VRAM = { cache: "wc", snoop: false };
    expect(nic.runs).toEqual([
      { kind: "cpu-physical", offset: 0, sizeBytes: PAGE, address: 0x40_0000_0000, attributes: VRAM },
    ]);
    expect(bo.place?.domain).toBe("vram");
  });
});

function attachAndDetach(r: ReturnType<typeof rig>, nic: Nic, buf: Parameters<Nic["attach"]>[0]): string {
  return refused(r, () => {
    r.run(nic.attach(buf));
    r.run(nic.detach());
  });
}

it.each(MAPPED)("%s: an injected exporter that does not look gives everybody peer2peer as they wish", (id) => {
  const { nic } = attached(id, { ...NO_ROUTE, exporter: { checksImporter: false } });
  expect(nic.attachment.peer2peer).toBe(true);
});
