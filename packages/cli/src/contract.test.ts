import { contracts, defineContract, dmaAddress, linux73, pfn } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { ioOf } from "./testing.js";
import { compareContracts, renderContract, renderDifference } from "./contract.js";

const io = ioOf(100);

describe("one contract", () => {
  it.each(contracts)("$id: every row, errno and finding is printed, in 100 columns", (contract) => {
    const text = renderContract(contract, io);
    const flat = text.replaceAll(/\s+/g, " ");
    for (const row of Object.values(contract.rows))
      for (const word of [row.does, ...Object.keys(row.errors), ...row.findings]) expect(flat).toContain(word);
    for (const { id, what } of contract.defects) expect(flat).toContain(`${id} ${what}`);
    expect(Math.max(...text.split("\n").map((l) => l.length))).toBeLessThanOrEqual(100);
  });
});

describe("two contracts", () => {
  it("say what one has and the other has not, and nothing that both have", () => {
    const found = compareContracts(pfn, dmaAddress);
    expect([found.onlyFirst, found.onlySecond]).toEqual([
      ["get_pfn (exporter)", "dma_buf_get_pfn_unlocked (framework)"],
      [],
    ]);
    expect(found.different.map((d) => d.what)).toContain("map_dma_buf: presence");
    expect(found.different.map((d) => d.what).filter((w) => w.startsWith("release"))).toEqual([]);
  });

  it("with themselves: the same", () => {
    for (const contract of contracts) expect(renderDifference(contract, contract, io)).toContain("They say the same.");
  });

  it("warn when the kernel differs too; a change of one word shows", () => {
    expect(renderDifference(dmaAddress, linux73, io)).toContain("Two axes differ");
    const mine = defineContract(linux73, { id: "mine", title: "mine", policy: { invalidate: "mandatory" } });
    expect(compareContracts(linux73, mine)).toEqual({
      onlyFirst: [],
      onlySecond: [],
      different: [{ what: "policy: invalidate", first: "optional", second: "mandatory" }],
    });
  });
});
