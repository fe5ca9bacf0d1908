/** An iommufd whose fd is closed: nothing comes in any more, and what is given back is given back. */
import { refusal } from "@dma-buf/config/refusal";
import { expect, it } from "vitest";
import { iommufdIoctl } from "./ioctl.js";
import { IOVA, rig } from "./testing/attached-world.js";
import { MAP, PAGE } from "./testing/machine-world.js";
import { ProcessMemory } from "./testing/process-memory.js";
import { encodeIommu, IOMMU_IOCTL } from "./uapi.js";

it("is EBADF for what would take anything in, and no buffer is held", () => {
  const r = rig("linux-7.3");
  const buf = r.bar();
  const access = r.iommufd.createAccess();
  const bound = r.iommufd.bind(r.machine.device(r.vfio.name));
  const pages = r.run(r.iommufd.attachBuffer(buf));
  r.run(r.iommufd.close());
  // Whoever asked the exporter would be told ENODEV.
  r.run(r.vfio.revoke());
  const range = { flags: MAP.FIXED_RW, iova: IOVA, length: BigInt(PAGE) };
  expect(r.answer(r.map(buf))).toBe("EBADF@map");
  expect(r.answer(r.ioas.map({ ...range, userVa: 0n }))).toBe("EBADF@map");
  expect(r.answer(r.ioas.copy({ ...range, src: r.ioas, srcIova: IOVA }))).toBe("EBADF@map");
  expect(r.answer(r.ioas.allocHwpt(r.nic))).toBe("EBADF@map");
  expect(r.answer(bound.attach(r.ioas))).toBe("EBADF@attach");
  expect(r.answer(access.attach(r.ioas))).toBe("EBADF@attach");
  expect(r.answer(r.iommufd.attachBuffer(buf))).toBe("EBADF@attach");
  expect(refusal(() => r.iommufd.createIoas())).toBe("EBADF@map");
  expect(refusal(() => r.iommufd.bind(r.nic))).toBe("EBADF@attach");
  expect(refusal(() => r.iommufd.createAccess())).toBe("EBADF@attach");
  const alloc = iommufdIoctl(
    { iommufd: r.iommufd, user: new ProcessMemory() },
    IOMMU_IOCTL.IOAS_ALLOC,
    encodeIommu("IOAS_ALLOC", {}),
  );
  expect(r.answer(alloc)).toBe("EBADF@map");
  // The reference that mapPages() takes over goes with its refusal.
  expect(() => r.run(r.ioas.mapPages(pages, { ...range, start: 0n }))).toThrow(/EBADF/);
  expect([buf.attachments.length, buf.refs, r.ioas.space.areaCount]).toEqual([0, 1, 0]);
});

it("gives back all the same: detach, unbind, destroy, and another close", () => {
  const r = rig("linux-7.3");
  const bound = r.iommufd.bind(r.machine.device(r.vfio.name));
  r.run(bound.attach(r.ioas));
  r.run(r.iommufd.close());
  expect(r.answer(bound.detach())).toBe("ok");
  expect(r.answer(r.iommufd.unbind(bound))).toBe("ok");
  expect(r.answer(r.iommufd.objects.destroy(r.iommufd.objects.idOf(r.ioas)))).toBe("ok");
  expect(r.answer(r.iommufd.close())).toBe("ok");
});

it("what was under way when it was closed comes to nothing, and the buffer is given back", () => {
  const r = rig("linux-7.3");
  const buf = r.bar();
  const map = r.map(buf);
  for (;;) {
    const { value } = map.next();
    if (typeof value === "object" && value.site === "iommufd.domains_rwsem") break;
  }
  r.run(r.iommufd.close());
  expect(refusal(() => r.run(map))).toBe("EBADF@map");
  expect([buf.attachments.length, buf.refs, r.ioas.space.areaCount]).toEqual([0, 1, 0]);
});
