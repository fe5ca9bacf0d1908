import { describe, expect, it } from "vitest";
import { bar, fn, port } from "../testing.js";
import type { PciFunction } from "../function.js";
import { CaptureError } from "./capture-error.js";
import { check } from "./check.js";

const MIB = 2 ** 20;

function messageOf(functions: readonly PciFunction[]): string {
  try {
    check(functions, "host");
    return "";
  } catch (error) {
    expect(error).toBeInstanceOf(CaptureError);
    return `${(error as CaptureError).code} ${(error as Error).message}`;
  }
}

const at = (address: string, base: number, more: Partial<PciFunction> = {}): PciFunction =>
  fn(address, "endpoint", { bars: [bar(base, MIB)], ...more });
const bridge = (address: string, secondary: number): PciFunction =>
  port(address, "pci-bridge", [secondary, 255], [0, MIB]);

describe("addresses", () => {
  it("overlap: both are named", () => {
    const message = messageOf([at("0000:01:00.0", 8 * MIB), at("0000:02:00.0", 8 * MIB + 4096)]);
    expect(message).toMatch(/^OVERLAP host: BAR 0 of 0000:01:00\.0 \(0x800000-0x8fffff\) and BAR 0 of 0000:02:00\.0/);
  });

  it("overlap also where they are listed in another order", () => {
    const large = fn("0000:01:00.0", "endpoint", { bars: [bar(8 * MIB, 8 * MIB)] });
    expect(messageOf([at("0000:03:00.0", 10 * MIB), large])).toMatch(/^OVERLAP/);
  });

  it.each([
    ["side by side", [at("0000:01:00.0", 8 * MIB), at("0000:02:00.0", 9 * MIB)]],
    ["in two domains", [at("0000:01:00.0", 8 * MIB), at("10000:01:00.0", 8 * MIB)]],
    [
      "where one decodes no memory",
      [at("0000:01:00.0", 8 * MIB), at("0000:02:00.0", 8 * MIB, { memoryEnabled: false })],
    ],
    [
      "of a VF and its PF",
      [fn("0000:01:00.0", "endpoint", { bars: [bar(8 * MIB, MIB, 7)] }), at("0000:01:00.1", 8 * MIB)],
    ],
    [
      "where one is disabled",
      [at("0000:01:00.0", 8 * MIB), at("0000:02:00.0", 0, { bars: [{ ...bar(8 * MIB), enabled: false }] })],
    ],
    [
      "of ports and memory",
      [at("0000:01:00.0", 8 * MIB), at("0000:02:00.0", 0, { bars: [{ ...bar(8 * MIB), space: "io" }] })],
    ],
  ] as const)("%s do not overlap", (_what, functions) => expect(messageOf(functions)).toBe(""));

  it("end below 2^53, of BARs and of windows", () => {
    const high = 2 ** 53 - MIB;
    expect(messageOf([at("0000:01:00.0", high)])).toMatch(/^ADDRESS_RANGE host: 0000:01:00\.0 has 1048576 bytes/);
    expect(messageOf([port("0000:00:01.0", "root-port", [1, 1], [high, MIB])])).toMatch(/^ADDRESS_RANGE/);
    expect(messageOf([at("0000:01:00.0", high - 1)])).toBe("");
  });
});

describe("buses", () => {
  it.each([
    ["a bridge to its own bus", [bridge("0000:01:00.0", 1)], /0000:01:00\.0 leads to bus 0000:01/],
    ["two bridges in a ring", [bridge("0000:01:00.0", 2), bridge("0000:02:00.0", 1)], /0000:02:00\.0.*0000:01:00\.0/],
    ["a ring whose domain has two spellings", [bridge("0000:01:00.0", 2), bridge("00000:02:00.0", 1)], /loop/],
    ["two bridges to one bus", [bridge("0000:00:01.0", 2), bridge("0000:00:02.0", 2)], /both lead to bus 0000:02/],
    [
      "a ring below a bus that is none",
      [bridge("0000:05:00.0", 6), bridge("0000:06:00.0", 7), bridge("0000:07:00.0", 5), bridge("0000:07:01.0", 8)],
      /loop/,
    ],
  ])("%s are refused by name", (_what, functions, message) => {
    expect(messageOf(functions)).toMatch(/^BUS_LOOP/);
    expect(messageOf(functions)).toMatch(message);
  });

  it("a ring is found by a bridge that only leads to it, and named without it", () => {
    const message = messageOf([bridge("0000:02:01.0", 9), bridge("0000:01:00.0", 2), bridge("0000:02:00.0", 1)]);
    expect(message).toMatch(/^BUS_LOOP host: the bridges form a loop: 0000:02:00\.0 leads.*0000:01:00\.0 leads/);
    expect(message).not.toContain("0000:02:01.0");
  });

  it.each([
    ["a tree", [bridge("0000:00:01.0", 1), bridge("0000:01:00.0", 2), bridge("0000:00:02.0", 3)]],
    ["bridges that nobody configured", [bridge("0000:00:01.0", 0), bridge("0000:00:02.0", 0)]],
    ["the same numbers in two domains", [bridge("0000:00:01.0", 1), bridge("0001:00:01.0", 1)]],
  ])("%s is a host's", (_what, functions) => expect(messageOf(functions)).toBe(""));
});
