/** What each variant answers to whom. */
import { checkPlugin } from "@dma-buf/conformance";
import {
  annotatedAddress,
  dmaAddress,
  linux73,
  type MaySleep,
  type Op,
  perform,
  type PfnAnswer,
  pfn,
  pfnLocked,
  type Run,
  type Vma,
  vma,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import * as annotatedAddressVariant from "./annotated-address.js";
import * as dmaAddressVariant from "./dma-address.js";
import * as linux73Variant from "./linux-7.3.js";
import * as pfnVariant from "./pfn.js";
import * as pfnLockedVariant from "./pfn-locked.js";
import { VFIO_DMA_BUF_PRIVATE_KVM, type VfioDmaBufGetData } from "./private.js";
import { BAR, BAR4, type FakeHost, fakeHost, kit, type Kit, PAGE, TestImporter } from "./testing.js";
import * as vmaVariant from "./vma.js";

const VARIANTS = {
  "dma-address": [dmaAddressVariant, dmaAddress],
  vma: [vmaVariant, vma],
  pfn: [pfnVariant, pfn],
  "pfn-locked": [pfnLockedVariant, pfnLocked],
  "annotated-address": [annotatedAddressVariant, annotatedAddress],
  "linux-7.3": [linux73Variant, linux73],
} as const;
type Id = keyof typeof VARIANTS;
const IDS = Object.keys(VARIANTS) as Id[];

const THREE = [
  { offset: 4 * PAGE, length: 4 * PAGE },
  { offset: PAGE, length: PAGE },
  { offset: 8 * PAGE, length: 2 * PAGE },
];

function make(id: Id, asPosted = false, host = fakeHost()): Kit {
  const [module, contract] = VARIANTS[id];
  return kit(module.vfioExporter, { contract, options: { asPosted }, host });
}

function exported(id: Id, asPosted = false, host = fakeHost(), ranges = THREE) {
  const k = make(id, asPosted, host);
  const importer = new TestImporter(k.fw);
  return { ...k, importer, buf: k.run(k.exporter.export({ regionIndex: 0, ranges })) };
}

function route(verdict: Partial<FakeHost["verdict"]>, busOffsetBytes = 0): FakeHost {
  return Object.assign(fakeHost(), { verdict, busOffsetBytes });
}

describe.each(IDS)("%s", (id) => {
  const [module, contract] = VARIANTS[id];

  it("comes in through the door, and says for which contract", () => {
    const plugin = checkPlugin(module, "vfio");
    expect([plugin.kind, plugin.name, plugin.contracts]).toEqual(["exporter", "vfio-pci", [contract.id]]);
  });

  it("is released with nothing left", () => {
    const { run, fw, buf, counts } = exported(id);
    run(fw.put(buf));
    expect(Object.values(counts())).toEqual(Array.from({ length: 9 }, () => 0));
  });

  it("a refused export leaves nothing: the core's ENOMEM, the driver's ENOMEM, a bad range", () => {
    for (const op of ["dma_buf_export", "vfio_pci_core_feature_dma_buf"]) {
      const k = kit(module.vfioExporter, { contract, allocFails: (name) => name === op });
      expect(k.answer(k.exporter.export({ regionIndex: 0, ranges: THREE }))).toBe("ENOMEM@export");
      expect(Object.values(k.counts())).toEqual(Array.from({ length: 9 }, () => 0));
    }
    const k = make(id);
    const bad = { regionIndex: 0, ranges: [{ offset: 0, length: 17 * PAGE }] };
    expect(k.answer(k.exporter.export(bad))).toBe("EINVAL@export");
    expect(Object.values(k.counts())).toEqual(Array.from({ length: 9 }, () => 0));
  });

  it("the file keeps O_ACCMODE and O_NONBLOCK of its flags", () => {
    const k = make(id);
    const buf = k.run(k.exporter.export({ regionIndex: 0, ranges: THREE, openFlags: 0o2004002 }));
    expect([buf.flags, buf.sizeBytes, buf.exporterName]).toEqual([0o4002, 7 * PAGE, "vfio-pci 0000:01:00.0"]);
  });
});

describe("who may attach", () => {
  const attach = (k: ReturnType<typeof exported>, by: object, device: unknown = k.peer.device) =>
    k.answer(k.fw.dynamicAttach(k.buf, device as never, { name: "importer", ops: by as never }));
  const noPeer = { allowPeer2peer: false, invalidateMappings() {} };
  const noCallback = { allowPeer2peer: true };
  const good = { allowPeer2peer: true, invalidateMappings() {} };

  it.each<[Id, boolean, object | null, string]>([
    ["dma-address", false, noPeer, "EOPNOTSUPP@attach"],
    ["dma-address", false, null, "EINVAL@attach"],
    ["dma-address", true, null, "EINVAL@attach"],
    ["dma-address", true, noPeer, "ok"],
    ["pfn", false, noPeer, "EOPNOTSUPP@attach"],
    ["pfn", false, null, "EINVAL@attach"],
    ["pfn-locked", false, noPeer, "EOPNOTSUPP@attach"],
    ["pfn-locked", false, noCallback, "EINVAL@attach"],
    ["pfn-locked", false, null, "EOPNOTSUPP@attach"],
    ["annotated-address", false, noPeer, "EOPNOTSUPP@attach"],
    ["annotated-address", false, noCallback, "EOPNOTSUPP@attach"],
    ["annotated-address", false, null, "EOPNOTSUPP@attach"],
    ["linux-7.3", false, noPeer, "EOPNOTSUPP@attach"],
    ["linux-7.3", false, noCallback, "EOPNOTSUPP@attach"],
    ["linux-7.3", false, null, "EOPNOTSUPP@attach"],
    ["linux-7.3", true, noCallback, "EOPNOTSUPP@attach"],
    ["linux-7.3", true, noPeer, "EOPNOTSUPP@attach"],
    ["linux-7.3", true, good, "ok"],
  ])("%s, as posted %s, with %o: %s", (id, asPosted, by, expected) => {
    const k = exported(id, asPosted, route({ mapType: "through-host-bridge" }));
    const before = k.counts();
    expect(attach(k, by as object)).toBe(expected);
    if (expected !== "ok") expect(k.counts()).toEqual(before);
  });

  it.each<[Id, boolean, string]>([
    ["dma-address", false, "ENODEV@attach"],
    ["dma-address", true, "ok"],
    ["vma", false, "ok"],
    ["pfn", false, "ok"],
    ["pfn-locked", false, "ok"],
    ["annotated-address", false, "ok"],
    ["linux-7.3", false, "ENODEV@attach"],
    ["linux-7.3", true, "ENODEV@attach"],
  ])("while revoked: %s, as posted %s, answers %s", (id, asPosted, expected) => {
    const k = exported(id, asPosted, route({ mapType: "through-host-bridge" }));
    k.run(k.exporter.revoke());
    const before = k.counts();
    expect(attach(k, good)).toBe(expected);
    if (expected !== "ok") expect(k.counts()).toEqual(before);
  });

  it("static and revoked: Linux looks at peer-to-peer first", () => {
    const k = exported("linux-7.3");
    k.run(k.exporter.revoke());
    expect(attach(k, null as never)).toBe("EOPNOTSUPP@attach");
  });
});

describe("the route", () => {
  const use = (k: ReturnType<typeof exported>, device: unknown = k.peer.device): string => {
    try {
      const at = k.run(k.fw.dynamicAttach(k.buf, device as never, k.importer));
      if (k.buf.ops.mapDmaBuf) return k.answer(k.importer.map(at));
      return k.answer(frame(k, at, 0));
    } catch (error) {
      return k.answer(rethrow(error));
    }
  };
  const none = { mapType: "not-supported", distance: -1 } as const;

  it.each<[string, Id, boolean, FakeHost, string]>([
    ["none", "dma-address", false, route(none), "EOPNOTSUPP@attach"],
    ["none", "dma-address", true, route(none), "EPERM@map"],
    ["none", "pfn", false, route(none), "EOPNOTSUPP@attach"],
    ["none", "pfn", true, route(none), "ok"],
    ["none", "pfn-locked", false, route(none), "EOPNOTSUPP@attach"],
    ["none", "annotated-address", false, route(none), "EOPNOTSUPP@attach"],
    ["none", "linux-7.3", false, route(none), "EOPNOTSUPP@attach"],
    ["none", "linux-7.3", true, route(none), "EINVAL@map"],
    ["a bus offset", "pfn", false, route({}, PAGE), "EOPNOTSUPP@attach"],
    ["a bus offset", "pfn-locked", false, route({}, PAGE), "EOPNOTSUPP@attach"],
    ["a bus offset", "dma-address", false, route({}, PAGE), "ok"],
    ["a bus address behind a translating IOMMU", "pfn", false, route({}), "EOPNOTSUPP@attach"],
    ["through the host bridge", "pfn", false, route({ mapType: "through-host-bridge" }), "ok"],
    ["through the host bridge", "linux-7.3", false, route({ mapType: "through-host-bridge" }), "ok"],
  ])("%s: %s, as posted %s", (_name, id, asPosted, host, expected) => {
    const k = exported(id, asPosted, host);
    const before = k.counts();
    expect(use(k)).toBe(expected);
    if (expected.endsWith("attach")) expect(k.counts()).toEqual(before);
    else if (expected !== "ok") expect(k.counts()).toEqual({ ...before, attachments: 1 });
  });
});

describe("what the importer is given", () => {
  const runsOf = (k: ReturnType<typeof exported>): Run[] => {
    const at = k.run(k.importer.attach(k.buf, k.peer.device));
    return [...k.run(k.importer.map(at)).runs];
  };

  it.each<[string, Id, boolean, FakeHost, Partial<Run>[], typeof THREE?]>([
    [
      "bus addresses, a run a range",
      "dma-address",
      false,
      route({}, 2 * PAGE),
      [{ address: BAR + 2 * PAGE }, { address: BAR - PAGE }, { address: BAR + 6 * PAGE }] as never,
    ],
    [
      "one IOVA",
      "dma-address",
      false,
      route({ mapType: "through-host-bridge" }),
      [{ kind: "dma", sizeBytes: 7 * PAGE }],
    ],
    ["one IOVA", "linux-7.3", false, route({ mapType: "through-host-bridge" }), [{ kind: "dma", sizeBytes: 7 * PAGE }]],
    [
      "dma_map_resource() whatever the bus",
      "dma-address",
      true,
      route({}, 2 * PAGE),
      [{ address: 0x4000_0000 }] as never,
      THREE.slice(0, 1),
    ],
    [
      "bus addresses that say so",
      "annotated-address",
      false,
      route({}),
      [{ kind: "pci-bus" }, { kind: "pci-bus" }, { kind: "pci-bus" }],
    ],
    [
      "an IOVA that says so",
      "annotated-address",
      false,
      route({ mapType: "through-host-bridge" }),
      [{ kind: "iova", attributes: { cache: "uc", snoop: false } }],
    ],
  ])("%s: %s, as posted %s", (_name, id, asPosted, host, expected, ranges) => {
    const k = exported(id, asPosted, host, ranges);
    const runs = runsOf(k);
    expect(runs).toMatchObject(expected);
    expect(runs.reduce((sum, r) => sum + r.sizeBytes, 0)).toBe(k.buf.sizeBytes);
  });

  it("without a device: where the CPU finds it", () => {
    const k = exported("annotated-address");
    const at = k.run(k.importer.attach(k.buf, null));
    const table = k.run(k.importer.map(at));
    expect([...table.runs].map((r) => [r.kind, r.address, r.sizeBytes])).toEqual([
      ["cpu-physical", BAR + 4 * PAGE, 4 * PAGE],
      ["cpu-physical", BAR + PAGE, PAGE],
      ["cpu-physical", BAR + 8 * PAGE, 2 * PAGE],
    ]);
    k.run(k.importer.unmap(at));
    expect(k.exporter.ledger.sgTables).toBe(0);
  });

  it.each<[Id, boolean, number[]]>([
    ["pfn", false, [2, 2, 0, 1]],
    ["pfn", true, [0, 0, 0, 0]],
    ["pfn-locked", false, [2, 2, 0, 1]],
    ["vma", false, [0, 0, 0, 0]],
  ])("page frames, with the order that lies inside the range: %s, as posted %s", (id, asPosted, orders) => {
    const k = exported(id, asPosted);
    const at = k.run(k.importer.attach(k.buf, null));
    const first = BAR / PAGE;
    const told = [0, 3, 4, 5].map((page) => k.run(frame(k, at, page)) as PfnAnswer);
    expect(told.map((t) => t.pfn - first)).toEqual([4, 7, 1, 8]);
    expect(told.map((t) => t.maxOrder)).toEqual(orders);
    const before = k.counts();
    expect(k.answer(frame(k, at, 7))).toBe(id === "vma" ? "EFAULT@mmap" : "EINVAL@query");
    expect(k.counts()).toEqual(before);
  });

  it.each([-1, 0.5, NaN, 7, 2 ** 52])("pfn: page %d is none of the buffer's", (page) => {
    const k = exported("pfn");
    const at = k.run(k.importer.attach(k.buf, null));
    const before = k.counts();
    expect(k.answer(frame(k, at, page))).toBe("EINVAL@query");
    expect(k.counts()).toEqual(before);
  });

  it("vma: large leaves where they fit", () => {
    const k = make("vma");
    const buf = k.run(k.exporter.export({ regionIndex: 4, ranges: [{ offset: 0, length: 2 ** 24 }] }));
    const at = k.run(new TestImporter(k.fw).attach(buf, null));
    expect(k.run(frame({ ...k, buf }, at, 513))).toEqual({ pfn: BAR4 / PAGE + 513, maxOrder: 9 });
  });

  it("vma: a revoke empties the mapping, it stays empty while revoked, and is filled again after", () => {
    const k = exported("vma");
    const at = k.run(k.importer.attach(k.buf, null));
    const mapping = k.run(k.fw.mmapFile(k.buf, { pgoff: 0, pages: 7, buf: null, fault: null }));
    expect(k.answer(fault(mapping, 0))).toBe("ok");
    k.run(k.exporter.revoke());
    expect([k.importer.calls, k.answer(fault(mapping, 0))]).toEqual([1, "EFAULT@mmap"]);
    k.run(k.exporter.restore());
    expect(k.answer(fault(mapping, 0))).toBe("ok");
    expect(at.detached).toBe(false);
  });

  it("as posted, DMA behind no peer-to-peer: a revoked buffer answers that first", () => {
    const k = exported("dma-address", true, route({ mapType: "not-supported", distance: -1 }));
    const at = k.run(k.importer.attach(k.buf, k.peer.device));
    k.run(k.exporter.revoke());
    expect(k.answer(k.importer.map(at))).toBe("ENODEV@map");
  });
});

describe("pins", () => {
  it.each<[Id, boolean, string]>([
    ["dma-address", false, "EINVAL@pin"],
    ["dma-address", true, "EINVAL@pin"],
    ["pfn", false, "EINVAL@pin"],
    ["pfn", true, "EINVAL@pin"],
    ["pfn-locked", false, "EINVAL@pin"],
    ["annotated-address", false, "EINVAL@pin"],
    ["linux-7.3", false, "ok"],
  ])("%s, as posted %s: %s", (id, asPosted, expected) => {
    const k = exported(id, asPosted, route({ mapType: "through-host-bridge" }));
    const at = k.run(k.importer.attach(k.buf, k.peer.device));
    const before = k.counts();
    const pin = function* (): Op<void> {
      using held = yield* k.buf.resv.lock();
      yield* k.fw.pinAttachment(at, held);
    };
    expect(k.answer(pin())).toBe(expected);
    if (expected !== "ok") expect(k.counts()).toEqual(before);
    // A pin in Linux 7.3 promises nothing.
    k.run(k.exporter.revoke());
    expect(k.importer.calls).toBe(1);
  });
});

describe("while the device belongs to one VM", () => {
  const vm = {};
  const through = () => route({ mapType: "through-host-bridge" });

  it.each<[Id, string, string]>([
    ["dma-address", "EOPNOTSUPP@attach", "EOPNOTSUPP@map"],
    ["pfn", "EOPNOTSUPP@attach", "EOPNOTSUPP@query"],
    ["pfn-locked", "EOPNOTSUPP@attach", "EOPNOTSUPP@query"],
    ["annotated-address", "EOPNOTSUPP@attach", "EOPNOTSUPP@map"],
    ["linux-7.3", "EOPNOTSUPP@attach", "EOPNOTSUPP@map"],
  ])("%s: who comes with a device is refused, %s, and who was attached before, %s", (id, attach, use) => {
    const k = exported(id, false, through());
    const at = k.run(k.importer.attach(k.buf, k.peer.device));
    k.run(k.exporter.binding.bind(vm));
    const before = k.counts();
    expect(k.answer(k.buf.ops.mapDmaBuf ? k.importer.map(at) : frame(k, at, 0))).toBe(use);
    expect(k.counts()).toEqual(before);
    expect(k.answer(k.importer.attach(k.buf, k.peer.device))).toBe(attach);
    expect(k.counts()).toEqual(before);
  });

  it.each<[Id, FakeHost]>([
    ["dma-address", route({})],
    ["pfn", through()],
    ["linux-7.3", route({})],
  ])("%s, as posted: nobody asks", (id, host) => {
    const k = exported(id, true, host, THREE.slice(0, 1));
    k.run(k.exporter.binding.bind(vm));
    const at = k.run(k.importer.attach(k.buf, k.peer.device));
    expect(k.answer(k.buf.ops.mapDmaBuf ? k.importer.map(at) : frame(k, at, 0))).toBe("ok");
  });

  it.each<[Id, boolean]>([
    ["pfn", false],
    ["pfn", true],
    ["pfn-locked", false],
  ])("%s, as posted %s: who comes without one is told whose it is, and where", (id, asPosted) => {
    const k = exported(id, asPosted);
    const owner = k.buf.ops.interfaces?.get(VFIO_DMA_BUF_PRIVATE_KVM) as VfioDmaBufGetData;
    expect(owner()).toEqual({ isPrivate: false, kvm: null });
    k.run(k.exporter.binding.bind(vm));
    expect(owner()).toEqual({ isPrivate: true, kvm: vm });
    const at = k.run(k.importer.attach(k.buf, null));
    expect(k.answer(frame(k, at, 0))).toBe("ok");
  });

  it.each<Id>(["dma-address", "pfn", "pfn-locked", "annotated-address", "linux-7.3"])(
    "%s: what is exported already is not exported once more: EBUSY, and nothing is left",
    (id) => {
      const k = exported(id);
      k.run(k.exporter.binding.bind(vm));
      const before = k.counts();
      const again = (page: number) => ({ regionIndex: 0, ranges: [{ offset: page * PAGE, length: PAGE }] });
      expect(k.answer(k.exporter.export(again(4)))).toBe("EBUSY@export");
      expect(k.counts()).toEqual(before);
      expect(k.answer(k.exporter.export(again(2)))).toBe("ok");
      expect(k.answer(k.exporter.export(again(2)))).toBe("EBUSY@export");
      k.run(k.fw.put(k.buf));
      expect(k.answer(k.exporter.export(again(4)))).toBe("ok");
      k.run(k.exporter.binding.unbind());
      expect(k.answer(k.exporter.export(again(4)))).toBe("ok");
    },
  );

  it.each<Id>(["dma-address", "pfn", "linux-7.3"])("%s, as posted: it is exported as often as one likes", (id) => {
    const k = exported(id, true);
    k.run(k.exporter.binding.bind(vm));
    expect(k.answer(k.exporter.export({ regionIndex: 0, ranges: THREE }))).toBe("ok");
  });

  it("where nothing was posted, asPosted changes nothing", () => {
    const k = exported("pfn-locked", true, through());
    k.run(k.exporter.binding.bind(vm));
    expect(k.answer(k.importer.attach(k.buf, k.peer.device))).toBe("EOPNOTSUPP@attach");
  });

  it("vma: no CPU maps it", () => {
    const k = exported("vma");
    k.run(k.exporter.binding.bind(vm));
    const before = k.counts();
    expect(k.answer(frame(k, k.run(k.importer.attach(k.buf, null)), 0))).toBe("EINVAL@mmap");
    expect(k.counts()).toEqual({ ...before, attachments: 1 });
  });
});

describe("failing allocations", () => {
  it.each(["dma_buf_phys_vec_to_sgt", "sg_alloc_table"])("%s: ENOMEM at map, and nothing is left", (op) => {
    let armed = false;
    const k = kit(linux73Variant.vfioExporter, { allocFails: (name) => armed && name === op });
    const importer = new TestImporter(k.fw);
    const at = k.run(importer.attach(k.run(k.exporter.export({ regionIndex: 0, ranges: THREE })), k.peer.device));
    const before = k.counts();
    armed = true;
    expect(k.answer(importer.map(at))).toBe("ENOMEM@map");
    expect(k.counts()).toEqual(before);
    armed = false;
    expect(k.answer(importer.map(at))).toBe("ok");
  });
});

type Exported = Pick<ReturnType<typeof exported>, "fw" | "buf">;
type Attachment = Parameters<Kit["fw"]["getPfnUnlocked"]>[0];

/** Asks for a page frame as the contract has it. */
function* frame({ fw, buf }: Exported, at: Attachment, page: number): Op<unknown> {
  if (buf.ops.mmap) return yield* touched({ fw, buf }, page);
  if (fw.contract.rows.getPfnUnlocked) return yield* fw.getPfnUnlocked(at, page);
  using held = yield* buf.resv.lock();
  return yield* fw.getPfnAttachment(at, page, held);
}

function* touched({ fw, buf }: Exported, page: number): Op<PfnAnswer> {
  const area = yield* fw.mmapFile(buf, { pgoff: 0, pages: buf.sizeBytes / PAGE, buf: null, fault: null });
  try {
    return yield* fault(area, page);
  } finally {
    yield* fw.munmap(area);
  }
}

function* fault(area: Vma, page: number): Op<PfnAnswer> {
  return yield* perform(area.fault?.(page) as MaySleep<PfnAnswer>);
}

function* rethrow(error: unknown): Op<void> {
  throw error;
}
