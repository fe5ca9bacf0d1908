/** The numbers, sizes and layouts of a VM's ioctls are Linux's. */
import { refusal } from "@dma-buf/config/refusal";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { regionBytes, regionOf, u64Bytes } from "./testing/arguments.js";
import { decode, KVM_IOCTL } from "./uapi.js";

const { SET_USER_MEMORY_REGION, SET_USER_MEMORY_REGION2, SET_MEMORY_ATTRIBUTES } = KVM_IOCTL;
const { CREATE_GUEST_MEMFD, PRE_FAULT_MEMORY } = KVM_IOCTL;

it("the numbers say direction, size, letter and number", () => {
  const ioc = (direction: number, nr: number, size: number): number =>
    direction * 0x4000_0000 + size * 0x1_0000 + 0xae00 + nr;
  expect(KVM_IOCTL).toEqual({
    SET_USER_MEMORY_REGION: ioc(1, 0x46, 32),
    SET_USER_MEMORY_REGION2: ioc(1, 0x49, 160),
    SET_MEMORY_ATTRIBUTES: ioc(1, 0xd2, 32),
    CREATE_GUEST_MEMFD: ioc(3, 0xd4, 64),
    PRE_FAULT_MEMORY: ioc(3, 0xd5, 64),
  });
});

const U64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const U32 = fc.nat({ max: 2 ** 32 - 1 });

it("every region survives its bytes, and the older ioctl reads the first five fields", () => {
  const region = fc.record({
    slot: U32,
    flags: U32,
    guestPhysAddr: U64,
    memorySize: U64,
    userspaceAddr: U64,
    guestMemfdOffset: U64,
    guestMemfd: U32,
  });
  fc.assert(
    fc.property(region, (given) => {
      const { guestMemfdOffset: _offset, guestMemfd: _fd, ...older } = given;
      const user = regionBytes(given);
      expect(decode(SET_USER_MEMORY_REGION2, user)).toEqual({ kind: "region", version: 2, region: given });
      expect(decode(SET_USER_MEMORY_REGION, user)).toEqual({ kind: "region", version: 1, region: older });
    }),
  );
});

it("the other arguments", () => {
  const four = u64Bytes([1n, 2n, 3n, 4n], 64);
  const attributes = { address: 1n, size: 2n, attributes: 3n, flags: 4n };
  expect(decode(SET_MEMORY_ATTRIBUTES, four)).toEqual({ kind: "attributes", request: attributes });
  expect(decode(CREATE_GUEST_MEMFD, four)).toEqual({ kind: "create-guest-memfd", request: { size: 1n, flags: 2n } });
  expect(decode(PRE_FAULT_MEMORY, four)).toEqual({ kind: "pre-fault", request: { gpa: 1n, size: 2n, flags: 3n } });
});

it("an argument anywhere in memory: the view's offset counts", () => {
  const page = new Uint8Array(4096);
  page.set(regionBytes(regionOf({ slot: 9 })), 100);
  expect(decode(SET_USER_MEMORY_REGION, page.subarray(100))).toMatchObject({ region: { slot: 9 } });
});

describe("row 1: EFAULT where the copy ends early", () => {
  it.each([
    [SET_USER_MEMORY_REGION, 32],
    [SET_USER_MEMORY_REGION2, 160],
    [SET_MEMORY_ATTRIBUTES, 32],
    [CREATE_GUEST_MEMFD, 64],
    [PRE_FAULT_MEMORY, 64],
  ])("command %i copies %i bytes", (command, sizeBytes) => {
    const said = (readable: number | null): string =>
      refusal(() => decode(command, readable === null ? null : new Uint8Array(readable)));
    expect([said(sizeBytes), said(sizeBytes - 1), said(0), said(null)]).toEqual([
      "ok",
      "EFAULT@memslot",
      "EFAULT@memslot",
      "EFAULT@memslot",
    ]);
  });

  it("another command is ENOTTY, whatever it points to", () => {
    expect(refusal(() => decode(0xae80, null))).toBe("ENOTTY@memslot");
  });
});
