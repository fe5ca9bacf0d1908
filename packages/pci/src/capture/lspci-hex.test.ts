import { describe, expect, it } from "vitest";
import { parseLspci } from "./lspci.js";
import { configBytes, hexRows } from "./testing.js";

const HEADER = "01:00.0 VGA compatible controller: X\n";
const bytes = configBytes(64, { 4: 6, 0x12: 0xe000 });
const text = (base: string): string =>
  `${HEADER}\tControl: I/O+ Mem+ BusMaster+\n\tRegion 0: Memory at ${base} (32-bit, non-prefetchable) [size=1M]\n`;
const rows = hexRows(bytes);

describe("text and bytes", () => {
  it.each([
    ["e0000000", 0],
    ["40e0000000", 0x40_0000_0000],
    ["10000000", -0xd000_0000],
  ])("BAR at %s: the bus offset is %i", (base, offset) => {
    expect(parseLspci(`${text(base)}${rows}\n`).host.busOffsets).toEqual(new Map([["0000:01", offset]]));
  });

  it("a root whose BARs do not agree has no offset, and it is said why", () => {
    const two = text("e0000000").replace("01:00.0", "01:01.0").replace("e0000000", "f0000000") + rows;
    const { host, skipped } = parseLspci(`${text("e0000000")}${rows}\n${two}\n`);
    expect(host.busOffsets).toEqual(new Map());
    expect(skipped).toEqual([expect.objectContaining({ where: "BARs below 0000:01" })]);
  });

  it("are one where they come one after the other", () => {
    const { functions } = parseLspci(`${text("e0000000")}\n$ lspci -x\n${HEADER}${rows}\n`);
    expect(functions).toHaveLength(1);
    expect(functions[0]).toMatchObject({ bars: [{ index: 0, sizeBytes: 2 ** 20 }], multiFunction: false });
  });

  it("that do not agree on buses are not both believed", () => {
    const bridge = hexRows(configBytes(64, { 14: 1, 0x18: 0x0300, 0x1a: 0x03 }));
    const { functions, skipped } = parseLspci(
      `00:01.0 PCI bridge: X\n\tBus: primary=00, secondary=02, subordinate=02, sec-latency=0\n${bridge}\n`,
    );
    expect(functions[0]?.bridge?.secondary).toBe(2);
    expect(skipped).toEqual([expect.objectContaining({ where: "the bytes of 0000:00:01.0" })]);
  });
});

describe("rows", () => {
  const skipped = (from: string) => parseLspci(`${text("e0000000")}${from}\n`).skipped.map((s) => s.because);

  it("of whole space are read without a word", () => expect(skipped(rows)).toEqual([]));
  it.each([
    ["a row is missing", rows.replace(/^10: .*\n/m, ""), /rows before it are missing/],
    ["a row is half", rows.replace(/^(30:(?: ..){7}).*$/m, "$1"), /fewer than 16 bytes/],
    ["a row comes twice and differs", `${rows}00: ff${" 00".repeat(15)}\n`, /other bytes/],
    ["a row is too long", rows.replace(/^30: /m, "30: 00 "), /no row/],
    ["a row begins nowhere", rows.replace(/^30: /m, "31: "), /no row/],
  ])("%s: it is skipped", (_what, from, because) => expect(skipped(from).join()).toMatch(because));

  it("that end early leave the function unknown", () => {
    const { unknown } = parseLspci(`${HEADER}${rows.slice(0, 54)}\n\n`);
    expect(unknown.map((u) => u.what)).toContain("configuration space of 0000:01:00.0");
  });
});
