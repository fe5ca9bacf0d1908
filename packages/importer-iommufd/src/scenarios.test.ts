/** Cells of the catalogue that an IOAS decides, on the machine: one test a scenario, by its id. */
import { describe, expect, it } from "vitest";
import { domainOf, IOVA, rig } from "./testing/attached-world.js";
import {
  BAR,
  type Column,
  COLUMNS,
  machineWorld,
  MAP,
  PAGE,
  pattern,
  SERVING,
  type WorldOptions,
} from "./testing/machine-world.js";
import { ramBuffer, vram } from "./testing/other-exporters.js";

const GIB = 2 ** 30;
const POSTED: WorldOptions = { importer: { asPosted: true } };

/** What the variants answer, in the order of the catalogue. */
const each = (expected: Readonly<Record<string, string>>) =>
  Object.keys(COLUMNS).map((id) => [id, expected[id] ?? "ok"] as const);
const NO_DEVICE = { "dma-address": "EINVAL@attach" };

describe("S18a: a BAR, one range", () => {
  it.each(each(NO_DEVICE))("%s: %s", (id, expected) => {
    const r = rig(id);
    expect(r.answer(r.map(r.bar()))).toBe(expected);
    expect(r.write(IOVA, pattern(1))).toBe(expected === "ok" ? "done" : "fault");
    // A core that wants a device warns of who brings none.
    expect(r.fw.findings.map((f) => f.level)).toEqual(expected === "ok" ? [] : ["warn"]);
  });

  it("vma, as merged: EFAULT; from the attach, if that comes later", () => {
    const r = rig("vma", POSTED);
    expect(r.answer(r.map(r.bar()))).toBe("EFAULT@map");
    const w = machineWorld("vma", POSTED);
    const ioas = w.iommufd.createIoas();
    w.run(ioas.mapFile({ flags: MAP.FIXED_RW, iova: IOVA, length: 4096n, file: w.bar(), start: 0n }));
    expect(w.answer(w.iommufd.bind(w.nic).attach(ioas))).toBe("EFAULT@attach");
  });
});

describe("S15: nobody asks for the route", () => {
  it.each(["vma", "pfn", "pfn-locked", "linux-7.3"])(
    "%s: where the root complex does not forward, the write is lost",
    (id) => {
      const lost = rig(id, { forwards: false });
      lost.run(lost.map(lost.bar()));
      expect(lost.write(IOVA, pattern(1))).toBe("lost");
      expect(lost.machine.memory.read(BAR, 16)).toEqual(new Uint8Array(16));
      const forwards = rig(id);
      forwards.run(forwards.map(forwards.bar()));
      expect([forwards.write(IOVA, pattern(1)), forwards.machine.memory.read(BAR, 16)]).toEqual(["done", pattern(1)]);
    },
  );
});

describe("S19a: VRAM that can move", () => {
  const expected = {
    ...NO_DEVICE,
    pfn: "EINVAL@attach",
    "annotated-address": "EOPNOTSUPP@attach",
    "linux-7.3": "EOPNOTSUPP@map",
  };
  // Contested: the catalogue refuses pfn-locked "as pfn", but there a device is needed to map only, and who is told before
  // each move is safe. vma is refused there since VRAM moves, which nothing says to who follows a CPU mapping.
  it.each(each(expected).filter(([id]) => id !== "vma"))("%s: %s", (id, told) => {
    const r = rig(id);
    const { buf } = vram(r, id);
    expect(r.answer(r.map(buf))).toBe(told);
  });

  it("linux-7.3: as merged it was pinned for it, and has left VRAM; asked first, it stays", () => {
    for (const [options, domain] of [
      [POSTED, "gtt"],
      [{}, "vram"],
    ] as const) {
      const r = rig("linux-7.3", options);
      const { buf, bo } = vram(r, "linux-7.3");
      expect(() => r.run(r.map(buf))).toThrow(/EOPNOTSUPP/);
      expect([bo.place?.domain, buf.attachments.length, r.fw.ledger.pins]).toEqual([domain, 0, 0]);
    }
  });
});

describe("S19b: RAM", () => {
  it.each(each({ ...NO_DEVICE, vma: "EFAULT@map", "linux-7.3": "EOPNOTSUPP@map" }))("%s: %s", (id, expected) => {
    const r = rig(id);
    const { buf, peek } = ramBuffer(r, id);
    expect(r.answer(r.map(buf))).toBe(expected);
    if (expected !== "ok") return;
    expect([r.write(IOVA + 4096n, pattern(1)), peek(PAGE)]).toEqual(["done", pattern(1)]);
  });
});

describe("S20e: three ranges", () => {
  const RANGES = [9, 2, 5].map((page) => ({ offset: page * PAGE, length: PAGE }));
  it.each(each({ ...NO_DEVICE, "linux-7.3": "EOPNOTSUPP@map" }))("%s: %s", (id, expected) => {
    const r = rig(id);
    expect(r.answer(r.map(r.bar(RANGES)))).toBe(expected);
    if (expected !== "ok") return;
    for (const [i, { offset }] of RANGES.entries()) {
      expect(r.write(IOVA + BigInt(i * PAGE), pattern(i))).toBe("done");
      expect(r.machine.memory.read(BAR + offset, 16)).toEqual(pattern(i));
    }
  });
});

describe("S21b and S21c: slices", () => {
  it.each(SERVING)("%s: two of them", (id) => {
    const r = rig(id);
    const buf = r.bar();
    r.run(r.map(buf, { length: 4096n }));
    r.run(r.map(buf, { iova: IOVA + 0x2000n, start: 0x2000n, length: 0x2000n }));
    expect([0n, 0x1000n, 0x3000n].map((at) => r.write(IOVA + at, pattern(Number(at))))).toEqual([
      "done",
      "fault",
      "done",
    ]);
    expect(r.machine.memory.read(BAR + 0x3000, 16)).toEqual(pattern(0x3000));
  });

  it.each([
    ["vma", "EFAULT@map"],
    ["pfn", "EINVAL@query"],
    ["pfn-locked", "EINVAL@query"],
    ["annotated-address", "EINVAL@map"],
    ["linux-7.3", "EINVAL@map"],
  ])("%s: one that runs past the end: %s", (id, expected) => {
    const r = rig(id);
    expect(r.answer(r.map(r.bar(), { start: 0x2000n }))).toBe(expected);
    expect(r.fw.findings).toEqual([]);
  });
});

describe("S23b: leaves", () => {
  it.each(SERVING)("%s: one of 1 GiB", (id) => {
    const r = rig(id);
    r.run(r.map(r.bar([{ offset: 0, length: GIB }])));
    const { table } = domainOf(r) as never as { table: { leaves(): Iterable<{ sizeBytes: number }> } };
    expect([...table.leaves()].map((leaf) => leaf.sizeBytes)).toEqual([GIB]);
  });
});

describe("S41b: given back", () => {
  it.each(SERVING)("%s: asked again it is there; nobody asks by itself", (id) => {
    const r = rig(id);
    r.run(r.map(r.bar()));
    r.run(r.vfio.setMemoryEnabled(false));
    expect(r.answer(r.ioas.revalidate())).toMatch(/^(ENODEV|EFAULT)@/);
    r.run(r.vfio.setMemoryEnabled(true));
    expect(r.write(IOVA, pattern(1))).toBe("fault");
    r.run(r.ioas.revalidate());
    expect([r.write(IOVA, pattern(1)), r.machine.memory.read(BAR, 16)]).toEqual(["done", pattern(1)]);
    r.run(r.vfio.setMemoryEnabled(false));
    expect(r.write(IOVA, pattern(2))).toBe("fault");
  });
});

describe("S42c and S43b: revoked between attach and map, and before both", () => {
  const between = {
    vma: "EFAULT@map",
    pfn: "ENODEV@query",
    "pfn-locked": "ENODEV@query",
    "annotated-address": "ENODEV@map",
    "linux-7.3": "ENODEV@map",
  };
  it.each(Object.entries(between))("%s: %s", (id, expected) => {
    const r = rig(id);
    const buf = r.bar();
    const pages = r.run(r.iommufd.attachBuffer(buf));
    r.run(r.vfio.revoke());
    const told = r.ioas.mapPages(pages, { flags: MAP.FIXED_RW, iova: IOVA, length: 4096n, start: 0n });
    expect(() => r.run(told)).toThrow(expected.split("@")[0]);
    expect([buf.attachments.length, buf.refs]).toEqual([0, 1]);
    expect(r.answer(r.map(buf))).toBe(id === "linux-7.3" ? "ENODEV@attach" : expected);
  });
});

describe("S64: beyond the aperture", () => {
  it.each(SERVING)("%s: EINVAL", (id) => {
    const r = rig(id);
    expect(r.answer(r.map(r.bar(), { iova: 2n ** 48n }))).toBe("EINVAL@map");
  });
});

describe("S47c: closed while it is mapped", () => {
  it.each(SERVING)("%s: a device faults, and the area can be unmapped", (id) => {
    const r = rig(id);
    const buf = r.bar();
    r.run(r.map(buf));
    r.run(r.vfio.close());
    expect(r.write(IOVA, pattern(1))).toBe("fault");
    expect(r.run(r.ioas.unmap(IOVA, 0x4000n))).toBe(0x4000n);
    r.run(r.fw.put(buf));
  });
});

it("annotated-address: an address of another space cannot go into a domain: EOPNOTSUPP", () => {
  const r = rig("annotated-address");
  const bus = {
    kind: "pci-bus",
    bridge: {},
    offset: 0,
    sizeBytes: PAGE,
    address: 0x1000,
    attributes: { cache: "uc", snoop: false },
  };
  const mine = { mapDmaBuf: () => ({ runs: [bus as never] }), unmapDmaBuf() {}, release() {} };
  const buf = r.fw.export({ exporterName: "bus", sizeBytes: PAGE, priv: mine, ops: mine });
  expect(r.answer(r.map(buf))).toBe("EOPNOTSUPP@map");
});

it("annotated-address under another contract: what is missing is said", () => {
  const w = machineWorld("pfn-locked");
  const iommufd = (COLUMNS["annotated-address"] as Column).importer()(w.fw, w.host);
  const buf = w.bar();
  const what = { flags: MAP.FIXED_RW, iova: IOVA, length: 4096n, file: buf, start: 0n };
  expect(() => w.run(iommufd.createIoas().mapFile(what))).toThrow(
    /offset 0x0 has a cpu-physical address without attributes: use the variant of the framework's contract/,
  );
  expect(buf.attachments.length).toBe(0);
});
