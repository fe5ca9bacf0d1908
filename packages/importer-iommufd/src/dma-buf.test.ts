/** The dma-buf path as merged: the kernel suite's two tests by their names, and what is answered to whom. */
import { addr, type Device, type DmaAddr, type DmaBuf, type DmaBufAttachment, type PhysAddr } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { Ioas } from "./ioas.js";
import { machineWorld, MAP, type MachineWorld, PAGE, pattern, type WorldOptions } from "./testing/machine-world.js";
import { ramBuffer, vram } from "./testing/other-exporters.js";

const IOVA = 0x10_0000_0000n;
const FOUR = 4n * 4096n;
const ALL = 2n ** 64n - 1n;

const raise = (error: Error): never => {
  throw error;
};

interface Rig extends MachineWorld {
  readonly ioas: Ioas;
  readonly buf: DmaBuf;
  map(change?: object): ReturnType<Ioas["mapFile"]>;
}

function rig(domains: number, options: WorldOptions = {}): Rig {
  const w = machineWorld("linux-7.3", options);
  const ioas = w.iommufd.createIoas();
  for (let i = 0; i < domains; i++) w.run(ioas.allocHwpt(w.nic));
  const buf = w.bar();
  const map = { flags: MAP.FIXED_RW, iova: IOVA, length: FOUR, file: buf, start: 0n };
  return { ...w, ioas, buf, map: (change = {}) => ioas.mapFile({ ...map, ...change }) };
}

/** With a device in the IOAS. */
function attached(options: WorldOptions = {}): Rig {
  const r = rig(0, options);
  r.run(r.iommufd.bind(r.nic).attach(r.ioas));
  return r;
}

describe.each([
  ["no_domain", 0],
  ["mock_domain", 1],
  ["two_mock_domain", 2],
])("iommufd_ioas %s", (_name, domains) => {
  it("dmabuf_simple", () => {
    const r = rig(domains);
    expect(r.answer(r.map({ length: 0n }))).toBe("EINVAL@map");
    expect(r.answer(r.map({ start: FOUR, length: 4096n }))).toBe("EINVAL@map");
    expect(r.answer(r.map({ length: FOUR + 1n }))).toBe("EINVAL@map");
    expect(r.answer(r.map())).toBe("ok");
  });

  it("dmabuf_revoke", () => {
    const r = rig(domains);
    r.run(r.map());
    r.run(r.vfio.revoke());
    if (domains > 0) expect(r.answer(r.ioas.allocHwpt(r.nic))).toBe("ok");
    // vfio-pci refuses the attach already; the suite's own exporter leaves it to the hook.
    expect(r.answer(r.map({ flags: MAP.RW }))).toBe("ENODEV@attach");
    r.run(r.vfio.restore());
    const again = r.run(r.map({ flags: MAP.RW }));
    expect(again).not.toBe(IOVA);
    expect(r.run(r.ioas.unmap(IOVA, FOUR))).toBe(FOUR);
    expect(r.run(r.map())).toBe(IOVA);
  });
});

describe("after a revoke", () => {
  const revoked = (options: WorldOptions = {}): Rig => {
    const r = attached(options);
    r.run(r.map());
    r.run(r.vfio.revoke());
    return r;
  };

  it("the area stays: EEXIST, and a device faults", () => {
    const r = revoked();
    expect([r.write(IOVA, pattern(1)), r.ioas.space.areaCount]).toEqual(["fault", 1]);
    const file = r.memfds.memfd(r.memfds.create(4 * PAGE));
    expect(r.answer(r.map({ file }))).toBe("EEXIST@map");
  });

  it("what the exporter gives back is not mapped again, by the code as merged also when it is asked", () => {
    const r = revoked({ importer: { asPosted: true } });
    r.run(r.vfio.restore());
    r.run(r.ioas.revalidate());
    expect(r.write(IOVA, pattern(1))).toBe("fault");
  });

  it("the importer may ask again, which nobody does by itself", () => {
    const r = revoked();
    expect(r.answer(r.ioas.revalidate())).toBe("ENODEV@map");
    r.run(r.vfio.restore());
    expect(r.write(IOVA, pattern(1))).toBe("fault");
    r.run(r.ioas.revalidate());
    expect(r.write(IOVA, pattern(1))).toBe("done");
  });

  it("COPY succeeds and maps nothing; so does a new page table", () => {
    const r = revoked();
    const other = r.iommufd.createIoas();
    const copied = { flags: MAP.FIXED_RW, iova: 0n, length: FOUR, src: r.ioas, srcIova: IOVA };
    expect(r.answer(other.copy(copied))).toBe("ok");
    const hwpt = r.run(other.allocHwpt(r.nic));
    expect(hwpt.domain.table).toBeDefined();
    expect([...(hwpt.domain as never as { table: { leaves(): Iterable<unknown> } }).table.leaves()]).toEqual([]);
  });

  it("UNMAP tells the whole length, and the same IOVA can be mapped when the exporter gives back", () => {
    const r = revoked();
    r.run(r.vfio.restore());
    expect(r.run(r.ioas.unmap(IOVA, FOUR))).toBe(FOUR);
    expect(r.answer(r.map())).toBe("ok");
    expect(r.write(IOVA, pattern(1))).toBe("done");
  });

  it("access by the kernel is EINVAL, as before it", () => {
    for (const r of [revoked(), attached()]) {
      if (r.ioas.space.areaCount === 0) r.run(r.map());
      const access = r.iommufd.createAccess({ needsPinPages: true });
      r.run(access.attach(r.ioas));
      expect(r.answer(access.pinPages(IOVA, 4096n, { write: false }))).toBe("EINVAL@map");
      expect(r.answer(access.read(IOVA, 8))).toBe("EINVAL@map");
    }
  });

  it("without any domain it is remembered: a device that is attached then finds nothing", () => {
    const r = rig(0);
    r.run(r.map());
    r.run(r.vfio.revoke());
    r.run(r.iommufd.bind(r.nic).attach(r.ioas));
    expect(r.write(IOVA, pattern(1))).toBe("fault");
  });
});

describe("COPY", () => {
  it("of one page of a buffer, in another IOAS: both fault when it is revoked, and the buffer is held by both", () => {
    const r = attached();
    r.run(r.map());
    const other = r.iommufd.createIoas();
    const peer = r.machine.device(r.vfio.name);
    r.run(r.iommufd.bind(peer).attach(other));
    const copied = { flags: MAP.FIXED_RW, iova: 0x2000n, length: 4096n, src: r.ioas, srcIova: IOVA + 0x1000n };
    expect(r.run(other.copy(copied))).toBe(0x2000n);
    r.machine.memory.write(0x40_0000_1000, pattern(5));
    expect([r.read(IOVA + 0x1000n, 16), r.read(0x2000n, 16, peer)]).toEqual([pattern(5), pattern(5)]);
    r.run(r.ioas.unmap(IOVA, FOUR));
    expect([r.buf.attachments.length, r.read(0x2000n, 16, peer)]).toEqual([1, pattern(5)]);
    r.run(r.vfio.revoke());
    expect(r.read(0x2000n, 16, peer)).toBe("fault");
    r.run(other.unmap(0n, ALL));
    expect([r.buf.attachments.length, r.buf.refs]).toEqual([0, 1]);
  });

  it("refused, it holds nothing of the buffer", () => {
    const r = attached();
    r.run(r.map());
    const onto = { flags: MAP.FIXED_RW, iova: IOVA, length: FOUR, src: r.ioas, srcIova: IOVA };
    expect(r.answer(r.ioas.copy(onto))).toBe("EEXIST@map");
    r.run(r.ioas.unmap(0n, ALL));
    expect([r.buf.attachments.length, r.buf.refs]).toEqual([0, 1]);
  });

  it("to be written, of what may be read alone: EPERM; a hole is ENOENT", () => {
    const r = attached();
    r.run(r.map({ flags: MAP.FIXED | MAP.READ }));
    expect(r.write(IOVA, pattern(1))).toBe("fault");
    const copied = { flags: MAP.FIXED_RW, iova: 0x2000n, length: FOUR, src: r.ioas, srcIova: IOVA };
    expect(r.answer(r.ioas.copy({ ...copied, srcIova: IOVA + 0x1000n }))).toBe("ENOENT@map");
    expect(r.answer(r.ioas.copy(copied))).toBe("EPERM@map");
    expect(r.answer(r.ioas.copy({ ...copied, flags: MAP.FIXED | MAP.READ }))).toBe("ok");
    expect([r.read(0x2000n, 16), r.write(0x2000n, pattern(1))]).toEqual([new Uint8Array(16), "fault"]);
  });

  it("where the kernel chooses, the IOVA is aligned as the bytes are in the buffer", () => {
    const r = attached();
    r.run(r.map({ start: 0x3000n, length: 0x1000n }));
    const copied = { flags: MAP.RW, iova: 0n, length: 0x1000n, src: r.ioas, srcIova: IOVA };
    expect(r.run(r.ioas.copy(copied))).toBe(0x1000n);
    const whole = r.run(r.map({ iova: 0x10_0000n }));
    // Of four pages the third: two of it could be one leaf of 8 KiB, if there were one.
    const pair = { ...copied, length: 0x2000n, srcIova: whole + 0x2000n };
    expect(r.run(r.ioas.copy(pair))).toBe(0x2000n);
    expect(r.run(r.ioas.copy({ ...pair, srcIova: whole + 0x1000n }))).toBe(0x4000n);
    expect(r.run(r.ioas.copy({ ...pair, srcIova: whole + 0x1000n }))).toBe(0x6000n);
  });
});

describe("MAP_FILE", () => {
  const cases: Record<string, [string, (r: Rig) => ReturnType<Ioas["mapFile"]>]> = {
    "a udmabuf": ["EOPNOTSUPP@map", (r) => r.map({ file: ramBuffer(r, "linux-7.3").buf, length: 8192n })],
    "a GPU's buffer": ["EOPNOTSUPP@map", (r) => r.map({ file: vram(r, "linux-7.3").buf, length: 8192n })],
    "two ranges": [
      "EOPNOTSUPP@map",
      (r) => {
        const two = [0, 8].map((page) => ({ offset: page * PAGE, length: 2 * PAGE }));
        return r.map({ file: r.bar(two) });
      },
    ],
    "a closed fd": ["EBADF@map", (r) => r.map({ file: 99 })],
    "an eventfd": ["EINVAL@map", (r) => r.map({ file: r.memfds.openOther() })],
    "a file that ends before": ["EINVAL@map", (r) => r.map({ file: r.memfds.create(3 * PAGE) })],
    "beyond the buffer": ["EINVAL@map", (r) => r.map({ start: 4096n })],
    "2^32 pages": ["EINVAL@map", (r) => r.map({ file: { ...r.buf, sizeBytes: 2 ** 45 }, length: 2n ** 44n })],
    "neither R nor W": ["EINVAL@map", (r) => r.map({ flags: MAP.FIXED })],
    "in the interrupt window": ["EINVAL@map", (r) => r.map({ iova: 0xfee0_0000n })],
    "beyond the aperture": ["EINVAL@map", (r) => r.map({ iova: 2n ** 48n })],
    "by an fd": [
      "ok",
      (r) => {
        r.bufs.set(100, r.buf);
        return r.map({ file: 100 });
      },
    ],
  };
  it.each(Object.keys(cases))("%s", (what) => {
    const [expected, map] = cases[what] as (typeof cases)[string];
    const r = attached();
    const op = map(r);
    expect(r.answer(op)).toBe(expected);
  });

  it("with memory decode off: ENODEV, and an fd that is good when it is on", () => {
    const r = attached();
    r.run(r.vfio.setMemoryEnabled(false));
    expect(r.answer(r.map())).toBe("ENODEV@attach");
    r.run(r.vfio.setMemoryEnabled(true));
    expect(r.answer(r.map())).toBe("ok");
  });

  it("over an area: EEXIST, and the buffer is not held", () => {
    const r = attached();
    r.run(r.map());
    expect(r.answer(r.map({ iova: IOVA + 0x3000n }))).toBe("EEXIST@map");
    expect(r.buf.attachments.length).toBe(1);
  });

  it("half of it unmapped: ENOENT; CHANGE_PROCESS: EINVAL", () => {
    const r = attached();
    r.run(r.map());
    expect(r.answer(r.ioas.unmap(IOVA, FOUR / 2n))).toBe("ENOENT@map");
    expect(r.answer(r.iommufd.changeProcess())).toBe("EINVAL@map");
    expect(r.answer(r.iommufd.objects.destroy(r.iommufd.objects.idOf(r.ioas)))).toBe("EBUSY@map");
  });

  it("a slice from inside a page, without a domain, keeps its place; a domain wants it aligned", () => {
    const r = rig(0);
    expect(r.run(r.map({ flags: MAP.RW, start: 0x1800n, length: 0x800n })) % 4096n).toBe(0x800n);
    expect(r.answer(r.iommufd.bind(r.nic).attach(r.ioas))).toBe("EADDRINUSE@attach");
  });

  const at = 0x40_0000_0000;
  it.each<[string, () => unknown]>([
    ["a range shorter than the buffer", () => ({ physical: at, sizeBytes: PAGE })],
    ["a range beyond the buffer", () => ({ physical: at, sizeBytes: 2 ** 30 })],
    ["no size", () => ({ physical: at, sizeBytes: Number.NaN })],
    ["no address", () => ({ physical: -4096, sizeBytes: 4 * PAGE })],
    ["nothing", () => undefined],
    ["a bare error", () => raise(new TypeError("oops"))],
  ])("an exporter that tells iommufd %s: EINVAL, a finding, no table", (_name, tells) => {
    const r = attached();
    const interfaces = new Map([[Symbol.for("vfio_pci_dma_buf_iommufd_map"), tells]]);
    const lying = r.fw.export({ ...r.buf, ops: { ...r.buf.ops, interfaces }, priv: r.buf.priv });
    expect(r.answer(r.map({ file: lying }))).toBe("EINVAL@map");
    expect(r.fw.findings.map((f) => [f.party, f.level])).toEqual([["exporter", "violation"]]);
  });
});

it("near the top of 64 bits, in an IOAS that no domain limits", () => {
  const r = rig(0);
  const top = 2n ** 64n - FOUR - 4096n;
  expect(r.run(r.map({ iova: top }))).toBe(top);
  expect(r.answer(r.map({ iova: 2n ** 64n - 4096n }))).toBe("EOVERFLOW@map");
  r.run(r.vfio.revoke());
  const bound = r.iommufd.bind(r.nic);
  expect(r.answer(bound.attach(r.ioas))).toBe("EADDRINUSE@attach");
  expect(r.run(r.ioas.unmap(top, FOUR))).toBe(FOUR);
  expect(r.answer(bound.attach(r.ioas))).toBe("ok");
});

it("an exporter that maps for iommufd's device, or makes it read or write, is told that it does no DMA: EIO", () => {
  const uses: readonly ((device: Device) => unknown)[] = [
    ({ dma }) => dma.mapPhys(addr<PhysAddr>(0x40_0000_0000), PAGE, "bidirectional", { mmio: true }),
    ({ dma }) => dma.unmapPhys(addr<DmaAddr>(0), PAGE),
    (device) => device.read(addr<DmaAddr>(0), 1).next(),
    (device) => device.write(addr<DmaAddr>(0), new Uint8Array(1)).next(),
  ];
  for (const use of uses) {
    const r = attached();
    const interfaces = new Map([
      [Symbol.for("vfio_pci_dma_buf_iommufd_map"), (at: DmaBufAttachment) => use(at.device as Device)],
    ]);
    const mapping = r.fw.export({ ...r.buf, ops: { ...r.buf.ops, interfaces }, priv: r.buf.priv });
    expect(r.answer(r.map({ file: mapping }))).toBe("EIO@map");
  }
});
