import { describe, expect, it } from "vitest";
import { CaptureError } from "./capture-error.js";
import { readConfig } from "./config-space.js";
import { Notes } from "./notes.js";
import { configBytes } from "./testing.js";

const read = (bytes: Uint8Array) => readConfig(bytes, "0000:01:00.0", new Notes("test"));
/** Vendor and device, memory and bus master on, a capability list that begins at 0x40 with Express (`type`). */
const express = (type: number, more: Readonly<Record<number, number>> = {}, sizeBytes = 4096) =>
  read(
    configBytes(sizeBytes, { 0: 0x10de, 2: 0x1b80, 4: 6, 6: 0x10, 0x34: 0x40, 0x40: 0x10, 0x42: type << 4, ...more }),
  );

describe("the header", () => {
  it("has IDs, class, command and the multi-function bit", () => {
    expect(read(configBytes(64, { 0: 0x10de, 2: 0x1b80, 4: 6, 8: 0x01a1, 10: 0x0300, 14: 0x80 }))).toMatchObject({
      vendor: 0x10de,
      device: 0x1b80,
      classCode: 0x030001,
      busMaster: true,
      memoryEnabled: true,
      multiFunction: true,
    });
  });

  it.each([
    ["too short", new Uint8Array(63)],
    ["all ones, of a function that is gone", new Uint8Array(256).fill(0xff)],
  ])("that is %s is none", (_what, bytes) => expect(read(bytes)).toBeNull());

  it("of a VF has no IDs of its own", () => {
    expect(read(configBytes(64, { 0: 0xffff, 2: 0xffff, 4: 4 }))).toMatchObject({ vendor: null, device: null });
  });
});

describe("a capability that the bytes end in", () => {
  it("is read where it is just whole", () => expect(express(4, {}, 68)?.portType).toBe("root-port"));

  it.each([
    ["Express", configBytes(66, { 6: 0x10, 0x34: 0x40, 0x40: 0x10 }), "portType"],
    ["ACS", configBytes(0x104, { 6: 0x10, 0x34: 0x40, 0x40: 0x10, 0x100: 0x0d, 0x102: 1 }), "acs"],
    ["ATS", configBytes(0x104, { 6: 0x10, 0x34: 0x40, 0x40: 0x10, 0x100: 0x0f, 0x102: 1 }), "ats"],
  ] as const)("%s", (_what, bytes, key) => expect(read(bytes)?.[key]).toBe("unknown"));
});

describe("BARs", () => {
  const bars = (registers: Readonly<Record<number, number>>) => read(configBytes(64, registers))?.bars;

  it("of 32 bits, of 64 bits in two registers, and of ports", () => {
    const registers = { 0x12: 0x8f00, 0x14: 0x000c, 0x16: 0x5000, 0x18: 0x60, 0x24: 0x3001 };
    expect(bars(registers)).toEqual([
      { index: 0, space: "memory", base: 0x8f00_0000, prefetchable: false, bits: 32 },
      { index: 1, space: "memory", base: 0x60_5000_0000, prefetchable: true, bits: 64 },
      { index: 5, space: "io", base: 0x3000, prefetchable: false, bits: 32 },
    ]);
  });

  it("of a bridge are two: bus numbers follow", () => {
    expect(bars({ 14: 1, 0x12: 0x8f00, 0x16: 0x9000, 0x18: 0x0201 })).toHaveLength(2);
  });

  it("that hold ones are no address: somebody asked for the size", () => {
    expect(bars({ 0x10: 0xfff0, 0x12: 0xffff, 0x14: 0xfffc, 0x16: 0xffff, 0x18: 0xffff, 0x1a: 0xffff })).toEqual([]);
  });

  it("beyond 2^53 are refused", () => {
    expect(() => bars({ 0x10: 4, 0x16: 0x4000 })).toThrow(CaptureError);
    expect(() => bars({ 0x10: 4, 0x16: 0x4000 })).toThrow(/BAR 0 of 0000:01:00.0 is at 0x4000000000000000/);
  });

  it("for VFs are numbered from 7", () => {
    const sriov = { 0x100: 0x10, 0x124: 4, 0x126: 0xe000, 0x12c: 0, 0x12e: 0xf000 };
    expect(express(0, sriov)?.bars.map((bar) => [bar.index, bar.base])).toEqual([
      [7, 0xe000_0000],
      [9, 0xf000_0000],
    ]);
  });
});

describe("bridges", () => {
  it("have buses and windows, 64-bit where they say so", () => {
    const registers = {
      14: 1,
      0x18: 0x0100,
      0x1a: 0x0f,
      0x1c: 0x4040,
      0x20: 0x8300,
      0x22: 0x8400,
      0x24: 1,
      0x26: 0x1f1,
    };
    expect(read(configBytes(64, { ...registers, 0x28: 0x60, 0x2c: 0x62 }))?.bridge).toEqual({
      primary: 0,
      secondary: 1,
      subordinate: 15,
      windows: [
        { kind: "io", base: 0x4000, sizeBytes: 0x1000 },
        { kind: "memory", base: 0x8300_0000, sizeBytes: 17 * 2 ** 20 },
        { kind: "prefetchable", base: 0x60_0000_0000, sizeBytes: 8224 * 2 ** 20 },
      ],
    });
  });

  it("pass ports above 64 KiB down where they say so", () => {
    const registers = { 14: 1, 0x1c: 0x1101, 0x20: 0xfff0, 0x24: 0xfff0, 0x30: 1, 0x32: 1 };
    expect(read(configBytes(64, registers))?.bridge?.windows).toEqual([
      { kind: "io", base: 0x1_0000, sizeBytes: 0x2000 },
    ]);
  });

  it("have no window where its limit is below its base, or nobody wrote it", () => {
    expect(read(configBytes(64, { 14: 1, 0x1c: 0xf0, 0x20: 0xfff0 }))?.bridge?.windows).toEqual([]);
  });
});

describe("capabilities", () => {
  it.each([
    [0, "endpoint"],
    [1, "endpoint"],
    [4, "root-port"],
    [5, "upstream-port"],
    [6, "downstream-port"],
    [7, "pci-bridge"],
    [9, "integrated"],
    [10, "integrated"],
    [15, "unknown"],
  ])("Express type %i is %s", (type, portType) => expect(express(type)?.portType).toBe(portType));

  it("conventional functions have neither port type nor ACS, whatever lies beyond their space", () => {
    const facts = read(configBytes(256, { 4: 6 }));
    expect(facts).toMatchObject({ portType: null, acs: null, ats: null });
  });

  it("ACS and ATS stand in extended space, in a list", () => {
    const acs = { 0x100: 0x0d, 0x102: 0x2001, 0x104: 0x1f, 0x106: 0x1d };
    const facts = express(4, { ...acs, 0x200: 0x0f, 0x202: 1, 0x204: 0x05, 0x206: 0x8000 });
    expect(facts?.acs).toMatchObject({
      capability: { SrcValid: true, TransBlk: true, EgressCtrl: false, DirectTrans: false },
      control: { SrcValid: true, TransBlk: false, ReqRedir: true, CmpltRedir: true, UpstreamFwd: true },
    });
    expect(facts?.ats).toEqual({ queueDepth: 5, enabled: true });
  });

  it("whole space without them: there are none", () => expect(express(4)).toMatchObject({ acs: null, ats: null }));

  it("256 bytes of an Express function do not say", () => {
    expect(express(4, {}, 256)).toMatchObject({ portType: "root-port", acs: "unknown", ats: "unknown" });
  });

  it("64 bytes do not say what is behind the pointer, also when zeros fill them up to 4096", () => {
    const header = { 6: 0x10, 0x34: 0x40 };
    for (const sizeBytes of [64, 256, 4096])
      expect(read(configBytes(sizeBytes, header))).toMatchObject({
        portType: "unknown",
        acs: "unknown",
        ats: "unknown",
      });
  });

  it.each([
    ["standard", { 0x40: 0x4005, 0x42: 0 }],
    ["extended", { 0x100: 0x01, 0x102: 0x1001 }],
  ])("a %s list that leads back to itself ends", (_which, loop) => {
    expect(express(4, loop)).toMatchObject({ acs: null });
  });

  it("a list that leaves the bytes is not whole", () => {
    expect(express(4, { 0x100: 0x01, 0x102: 0xffc1 }, 2048)).toMatchObject({ acs: "unknown" });
  });

  it("VFs are counted where they are enabled", () => {
    const sriov = { 0x100: 0x10, 0x108: 1, 0x110: 2, 0x114: 8, 0x116: 1 };
    expect(express(0, sriov)?.vfs).toEqual({ count: 2, offset: 8, stride: 1 });
    expect(express(0, { ...sriov, 0x108: 0 })?.vfs).toBeNull();
  });
});
