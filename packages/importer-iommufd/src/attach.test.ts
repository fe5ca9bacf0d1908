/** Devices and page tables: attach, replace, detach, and what is left when they are refused. */
import { type Device, DmaBufError } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { IommufdDevice } from "./device.js";
import type { Ioas } from "./ioas.js";
import { machineWorld, MAP, type MachineWorld, PAGE, pattern, type WorldOptions } from "./testing/machine-world.js";

const IOVA = 0x10_0000_0000n;

interface Rig extends MachineWorld {
  readonly ioas: Ioas;
  readonly bound: IommufdDevice;
  readonly peer: IommufdDevice;
  destroy(object: Ioas | IommufdDevice["hwpt"]): string;
}

function rig(options: WorldOptions = {}): Rig {
  const w = machineWorld("linux-7.3", options);
  const peer = w.iommufd.bind(w.machine.device(w.vfio.name));
  return {
    ...w,
    ioas: w.iommufd.createIoas(),
    bound: w.iommufd.bind(w.nic),
    peer,
    destroy: (object) => w.answer(w.iommufd.objects.destroy(object ? w.iommufd.objects.idOf(object) : 0)),
  };
}

/** A page of a file at {@link IOVA}. */
function page(r: Rig, ioas: Ioas, seed: number): void {
  const fd = r.memfds.create(PAGE);
  r.memfds.memfd(fd).write(0, pattern(seed));
  r.run(ioas.mapFile({ flags: MAP.FIXED_RW, iova: IOVA, length: 4096n, file: fd, start: 0n }));
}

it("devices share the page table that an attach makes; it goes with the last, and then the IOAS may go", () => {
  const r = rig();
  page(r, r.ioas, 1);
  const hwpt = r.run(r.bound.attach(r.ioas));
  expect(r.run(r.peer.attach(r.ioas))).toBe(hwpt);
  expect([r.read(IOVA, 16), r.read(IOVA, 16, r.machine.device(r.vfio.name))]).toEqual([pattern(1), pattern(1)]);
  expect([r.destroy(r.ioas), r.destroy(hwpt)]).toEqual(["EBUSY@map", "EBUSY@map"]);
  r.run(r.bound.detach());
  expect(r.iommufd.objects.idOf(hwpt)).not.toBe(0);
  r.run(r.peer.detach());
  r.run(r.peer.detach());
  expect([r.iommufd.objects.idOf(hwpt), r.destroy(hwpt), r.destroy(r.ioas)]).toEqual([0, "ENOENT@map", "ok"]);
});

it("hwpt_attach: to a table that was allocated; to another only by replace; what is attached already stays", () => {
  const r = rig();
  const [a, b] = [r.run(r.ioas.allocHwpt(r.nic)), r.run(r.ioas.allocHwpt(r.nic))];
  expect([r.answer(r.bound.replace(a)), r.answer(r.bound.attach(a)), r.answer(r.bound.attach(a))]).toEqual([
    "EINVAL@attach",
    "ok",
    "ok",
  ]);
  expect([r.answer(r.bound.attach(b)), r.answer(r.bound.attach(r.ioas))]).toEqual(["EINVAL@attach", "EINVAL@attach"]);
  expect([r.run(r.bound.replace(b)), r.run(r.bound.replace(b)), r.destroy(b), r.destroy(a)]).toEqual([
    b,
    b,
    "EBUSY@map",
    "ok",
  ]);
  r.run(r.bound.detach());
  expect(r.destroy(b)).toBe("ok");
});

it("replace: by the bytes of another IOAS, in one step; the old table is gone", () => {
  const r = rig();
  const other = r.iommufd.createIoas();
  page(r, r.ioas, 1);
  page(r, other, 2);
  const old = r.run(r.bound.attach(r.ioas));
  expect(r.read(IOVA, 16)).toEqual(pattern(1));
  const now = r.run(r.bound.replace(other));
  expect([r.read(IOVA, 16), r.iommufd.objects.idOf(old), r.ioas.users]).toEqual([pattern(2), 0, 0]);
  expect(r.run(r.bound.replace(other))).toBe(now);
  expect(r.answer(r.peer.replace(other))).toBe("EINVAL@attach");
  // The IOVAs that the device has reserved went with it.
  expect(r.answer(r.ioas.mapFile({ ...fixed(r, 0xfee0_0000n) }))).toBe("ok");
  expect(r.answer(other.mapFile({ ...fixed(r, 0xfee0_0000n) }))).toBe("EINVAL@map");
});

function fixed(r: Rig, iova: bigint) {
  return { flags: MAP.FIXED_RW, iova, length: 4096n, file: r.memfds.create(PAGE), start: 0n };
}

it("a replace that is refused leaves the device where it is", () => {
  const r = rig();
  page(r, r.ioas, 1);
  r.run(r.bound.attach(r.ioas));
  const other = r.iommufd.createIoas();
  r.run(other.mapFile(fixed(r, 0xfee0_0000n)));
  expect(r.answer(r.bound.replace(other))).toBe("EADDRINUSE@attach");
  expect([r.read(IOVA, 16), other.users]).toEqual([pattern(1), 0]);
});

it("a device that is blocked for a reset: EBUSY, and what it reserves is free again", () => {
  const r = rig();
  r.machine.iommuUnit.block(r.nic.fn);
  expect(r.answer(r.bound.attach(r.ioas))).toBe("EBUSY@attach");
  expect([r.answer(r.ioas.mapFile(fixed(r, 0xfee0_0000n))), r.ioas.users]).toEqual(["ok", 0]);
});

it("detach: its DMA is what it was before iommufd", () => {
  const r = rig();
  const before = r.machine.domainOf(r.nic);
  page(r, r.ioas, 1);
  r.run(r.bound.attach(r.ioas));
  expect(r.machine.domainOf(r.nic)).not.toBe(before);
  r.run(r.bound.detach());
  expect([r.machine.domainOf(r.nic) === before, r.read(IOVA, 16)]).toEqual([true, "fault"]);
});

it("a device is bound once: EBUSY; unbound, it can be bound again", () => {
  const r = rig();
  expect(() => r.iommufd.bind(r.nic)).toThrow(/EBUSY/);
  r.run(r.iommufd.unbind(r.bound));
  expect(r.answer(r.bound.attach(r.ioas))).toBe("ENODEV@attach");
  expect(r.iommufd.bind(r.nic).hwpt).toBeNull();
});

it("HWPT_ALLOC with a type and no data, or data and no type: EINVAL; with both, no driver takes it", () => {
  const r = rig();
  const idOf = r.iommufd.objects.idOf.bind(r.iommufd.objects);
  const ids = { devId: idOf(r.bound), ptId: idOf(r.ioas) };
  const none = { size: 48, flags: 0, reserved: 0, reserved2: 0, dataUptr: 0n, faultId: 0, outHwptId: 0, ...ids };
  const told = (dataType: number, dataLen: number): string =>
    r.answer(r.iommufd.hwptAlloc({ ...none, dataType, dataLen }));
  expect([told(1, 0), told(0, 8), told(1, 8), told(0, 0)]).toEqual([
    "EINVAL@map",
    "EINVAL@map",
    "EOPNOTSUPP@map",
    "ok",
  ]);
});

it("bind without isolated MSI: EPERM, unless unsafe interrupts are allowed", () => {
  const unsafe = machineWorld("linux-7.3", { isolatedMsi: false });
  expect(() => unsafe.iommufd.bind(unsafe.nic)).toThrow(/EPERM/);
  const allowed = machineWorld("linux-7.3", { isolatedMsi: false, importer: { allowUnsafeInterrupts: true } });
  expect(allowed.iommufd.bind(allowed.nic).hwpt).toBeNull();
});

describe("a device that no table of others fits", () => {
  /** A host on which the device refuses the domain of another. */
  function picky(r: Rig): void {
    const host = r.host as never as { attach: (device: Device, domain: { name: string }) => void };
    const attach = host.attach.bind(host);
    host.attach = (device, domain) => {
      if (device !== r.nic && domain.name === "domain 1")
        throw new DmaBufError("EINVAL", { op: "iommu_attach_group", stage: "attach", message: "not of this IOMMU" });
      attach(device, domain);
    };
  }

  it("gets one of its own in the same IOAS; named, that table is EINVAL", () => {
    const r = rig();
    picky(r);
    page(r, r.ioas, 1);
    const first = r.run(r.bound.attach(r.ioas));
    expect(r.answer(r.peer.attach(first))).toBe("EINVAL@attach");
    const second = r.run(r.peer.attach(r.ioas));
    expect([second === first, r.ioas.hwpts.size]).toEqual([false, 2]);
    expect(r.read(IOVA, 16, r.machine.device(r.vfio.name))).toEqual(pattern(1));
    r.run(r.ioas.unmap(IOVA, 4096n));
    expect([r.read(IOVA, 16), r.read(IOVA, 16, r.machine.device(r.vfio.name))]).toEqual(["fault", "fault"]);
  });
});

describe("IOMMU_HWPT_ALLOC", () => {
  const none = { flags: 0, devId: 0, ptId: 0, outHwptId: 0, reserved: 0, dataType: 0, dataLen: 0 };
  it.each([
    ["an unknown device", { devId: 77 }, "ENOENT@map"],
    ["no IOAS", { ptId: 77 }, "EINVAL@map"],
    ["an IOAS that is a device", { ptId: 1 }, "EINVAL@map"],
    ["flags", { flags: 1 }, "EOPNOTSUPP@map"],
    ["a reserved field", { reserved: 1 }, "EOPNOTSUPP@map"],
    ["data of no type", { dataLen: 8 }, "EINVAL@map"],
    ["a type that no driver has", { dataType: 1, dataLen: 8 }, "EOPNOTSUPP@map"],
    ["what is fine", {}, "ok"],
  ])("%s: %s", (_what, change, expected) => {
    const r = rig();
    const { objects } = r.iommufd;
    const ids = { devId: objects.idOf(r.bound), ptId: objects.idOf(r.ioas) };
    const arg = { ...none, ...ids, dataUptr: 0n, faultId: 0, reserved2: 0, ...change };
    expect(r.answer(r.iommufd.hwptAlloc(arg as never))).toBe(expected);
  });
});

it("a table whose smallest page is more than a page: EINVAL", () => {
  const r = rig();
  const host = r.host as { createDomain: (device: Device) => object };
  const create = host.createDomain.bind(host);
  host.createDomain = (device) => Object.assign(create(device), { pageBytesMin: 65536 });
  expect(r.answer(r.bound.attach(r.ioas))).toBe("EINVAL@attach");
  expect(r.answer(r.ioas.allocHwpt(r.nic))).toBe("EINVAL@attach");
});

it("huge pages: off with areas in a table is EINVAL, over what is not aligned EADDRINUSE", () => {
  const r = rig();
  page(r, r.ioas, 1);
  r.run(r.bound.attach(r.ioas));
  expect(r.answer(r.ioas.setHugePages(false))).toBe("EINVAL@map");
  const other = r.iommufd.createIoas();
  r.run(other.mapFile({ ...fixed(r, 0x1001n), length: 5n }));
  expect(r.answer(other.setHugePages(false))).toBe("EADDRINUSE@map");
  expect([r.ioas.hugePages, other.hugePages]).toEqual([true, true]);
});
