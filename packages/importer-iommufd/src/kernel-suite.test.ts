/** Fixture `iommufd` of the kernel's suite (tools/testing/selftests/iommu), by its names: an iommufd without any object. */
import { errnoOf } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { IOMMU_IOAS_MAP_FLAGS, IOMMU_OPTION_ID, IOMMU_OPTION_OP } from "./flags.js";
import type { StructLayout } from "./struct-layout.js";
import { Fixture } from "./testing/fixture.js";
import { PAGE } from "./testing/mock-host.js";
import { encodeIommu, IOMMU_IOCTL, type IommuIoctl, STRUCTS } from "./uapi.js";

const NAMES = Object.keys(IOMMU_IOCTL) as IommuIoctl[];

/** The errno of a call with these bytes. */
const raw = (f: Fixture, nr: number, arg: Uint8Array | null): string => errnoOf(() => f.raw(nr, arg));

function sized(bytes: Uint8Array, size: number, extra = 0): Uint8Array {
  const arg = new Uint8Array(bytes.length + 1);
  arg.set(bytes);
  arg[bytes.length] = extra;
  new DataView(arg.buffer).setUint32(0, size, true);
  return arg;
}

describe("iommufd", () => {
  it("simple_close", () => {
    const f = new Fixture();
    f.close();
    expect(f.snapshot()).toMatchObject({ objects: 0, pinned: 0, spaces: [] });
  });

  it("cmd_fail", () => {
    const f = new Fixture();
    expect(f.ioctl("DESTROY", { id: 0 }).code).toBe("ENOENT");
    expect(raw(f, IOMMU_IOCTL.DESTROY, null)).toBe("EFAULT");
    expect(raw(f, IOMMU_IOCTL.DESTROY, new Uint8Array(3))).toBe("EFAULT");
    expect(raw(f, 0x3b7f, encodeIommu("DESTROY", {}))).toBe("ENOTTY");
    // The number with a direction and a size in it, as others encode theirs.
    expect(raw(f, 0xc008_3b80, encodeIommu("DESTROY", {}))).toBe("ENOTTY");
  });

  it.each(NAMES)("cmd_length %s", (name) => {
    const f = new Fixture();
    const { sizeBytes, minBytes = sizeBytes }: StructLayout = STRUCTS[name];
    const call = (size: number, extra: number): string =>
      raw(f, IOMMU_IOCTL[name], sized(encodeIommu(name, {}), size, extra));
    expect(call(minBytes - 1, 0xff)).toBe("EINVAL");
    expect(call(sizeBytes + 1, 0xff)).toBe("E2BIG");
    expect(call(sizeBytes + 2, 0)).toBe("EFAULT");
    expect(call(sizeBytes + 1, 0)).toBe(call(sizeBytes, 0xff));
  });

  it("cmd_length: a HWPT_ALLOC of the first kernels is as one with zeros behind it", () => {
    const f = new Fixture();
    // Data for no type, which is behind what the first kernels had.
    const arg = encodeIommu("HWPT_ALLOC", { dataLen: 8 });
    expect(raw(f, IOMMU_IOCTL.HWPT_ALLOC, sized(arg, 48))).toBe("EINVAL");
    expect(raw(f, IOMMU_IOCTL.HWPT_ALLOC, sized(arg, 24))).toBe("ENOENT");
  });

  it("cmd_ex_fail", () => {
    const f = new Fixture();
    const call = (size: number, future: number): string => {
      const arg = new Uint8Array(16);
      arg[8] = future;
      new DataView(arg.buffer).setUint32(0, size, true);
      return raw(f, IOMMU_IOCTL.DESTROY, arg);
    };
    expect(call(16, 0)).toBe("ENOENT");
    expect(call(16, 1)).toBe("E2BIG");
    expect(call(8, 1)).toBe("ENOENT");
    expect(call(7, 1)).toBe("EINVAL");
  });

  it("global_options", () => {
    const f = new Fixture();
    const option = (op: number, val64: bigint, optionId: number = IOMMU_OPTION_ID.RLIMIT_MODE) =>
      f.ioctl("OPTION", { optionId, op, val64 });
    const { GET, SET } = IOMMU_OPTION_OP;
    expect(option(GET, 1n)).toMatchObject({ code: "ok", out: { val64: 0n } });
    expect(option(SET, 1n).code).toBe("ok");
    expect(option(SET, 2n).code).toBe("EINVAL");
    expect(option(GET, 0n)).toMatchObject({ code: "ok", out: { val64: 1n } });
    expect(option(SET, 0n).code).toBe("ok");
    expect(option(GET, 1n, IOMMU_OPTION_ID.HUGE_PAGES).code).toBe("ENOENT");
    expect(option(SET, 1n, IOMMU_OPTION_ID.HUGE_PAGES).code).toBe("ENOENT");
    expect(option(2, 0n).code).toBe("EOPNOTSUPP");
    expect(option(GET, 0n, 2).code).toBe("EOPNOTSUPP");
    expect(f.ioctl("OPTION", { op: GET, objectId: 1 }).code).toBe("EOPNOTSUPP");
    expect(f.ioctl("OPTION", { op: GET, reserved: 1 }).code).toBe("EOPNOTSUPP");
    expect(f.ioctl("OPTION", { op: SET, val64: 1n }, { isPrivileged: false }).code).toBe("EPERM");
    f.ioasAlloc();
    expect(option(SET, 1n).code).toBe("EBUSY");
    expect(option(GET, 1n)).toMatchObject({ code: "ok", out: { val64: 0n } });
  });
});

// With what the suite calls account_none nothing is booked on anybody: here nothing ever is.
describe.each([
  ["account_user", 0n],
  ["account_mm", 1n],
])("change_process %s", (_variant, mode) => {
  it("basic", () => {
    const f = new Fixture();
    expect(f.ioctl("OPTION", { op: IOMMU_OPTION_OP.SET, val64: mode }).code).toBe("ok");
    f.ioasId = f.ioasAlloc();
    f.host.files.set(9, { kind: "other" });
    expect(f.ioctl("IOAS_CHANGE_PROCESS", {}).code).toBe("ok");
    expect(f.mapFixed(0n, PAGE)).toBe("ok");
    expect(f.ioctl("IOAS_CHANGE_PROCESS", {}).code).toBe("EINVAL");
    expect(f.unmap(0n, PAGE).code).toBe("ok");
    const flags = IOMMU_IOAS_MAP_FLAGS.READABLE;
    expect(f.ioctl("IOAS_MAP_FILE", { ioasId: f.ioasId, flags, fd: 9, length: PAGE }).code).toBe("ok");
    expect(f.ioctl("IOAS_CHANGE_PROCESS", {}).code).toBe("ok");
    expect(f.ioctl("OPTION", { op: IOMMU_OPTION_OP.GET })).toMatchObject({ code: "ok", out: { val64: mode } });
  });
});
