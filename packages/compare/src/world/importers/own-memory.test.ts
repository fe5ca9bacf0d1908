/** What keeps a GPU within the slice of its virtual function: taken out, and the verdict turns. */
import { describe, expect, it } from "vitest";
import { bind } from "../../binding.js";
import { playAll } from "../../readings.js";
import { CONFORMING } from "../../run.js";
import { verdictText } from "../../scenario/verdict-text.js";
import { columnOf, scenario } from "../testing.js";

function played(id: string, contract: string, from = "", to = "") {
  const changed = scenario(id, from, to);
  const column = columnOf(contract);
  const { verdict, rule } = playAll({
    scenario: changed,
    column,
    binding: bind(changed, null),
    cast: CONFORMING,
    forwards: true,
  });
  return { verdict: verdictText(verdict), rule: rule.text };
}

const TRANSLATING = ["pfn", "pfn-locked", "annotated-address"];

describe.each(TRANSLATING)("%s", (contract) => {
  it("without the check the next function's bytes are read", () => {
    const { verdict, rule } = played("S11", contract, "slice: 512 MiB", "slice: 512 MiB, checksSlice: false");
    expect(verdict).toMatch(/^DISCLOSE/);
    expect(rule).toContain("reaches 0x0 bytes behind the slice of 0000:03:00.1");
  });

  it("what begins in the slice and ends behind it is refused, and what fills it is not", () => {
    expect(played("S11", contract, "offset: 512 MiB, bytes: 4 KiB", "offset: 524284 KiB, bytes: 8 KiB").verdict).toBe(
      "REFUSED(EINVAL@map)",
    );
    expect(played("S11", contract, "offset: 512 MiB", "offset: 524284 KiB").verdict).toBe("OK");
  });

  it("the access is booked where the BAR shows those bytes, so that it can be late as any", () =>
    expect(played("S10", contract).rule).toContain(
      "read by 0000:03:00.0 at its own memory's address 0x100000 are those of the buffer at 0x4000000000",
    ));

  it("another device's BAR is reached over the bus", () =>
    expect(played("S10", contract, ", sameDevice: true").rule).toContain("0000:04:00.0 at DMA address 0x4000000000"));
});

it("S10: the detour is seen where it is taken, and not where the functions are of two devices", () => {
  expect(played("S10", "dma-address").rule).toContain("a BAR of its virtual function 0000:03:00.1");
  expect(played("S10", "dma-address", ", sameDevice: true").verdict).toBe("OK");
});

it("a GPU that the function is none of has no slice to give", () =>
  expect(() => played("S11", "pfn", ", sameDevice: true")).toThrow(
    "0000:03:00.0 is no virtual function of 0000:04:00.0",
  ));
