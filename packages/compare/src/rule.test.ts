/** Each verdict says what decided it: what a maintainer can look up, and not who happened to say so. */
import { dmaAddress, DmaBufError } from "@dma-buf/core";
import { t1 } from "@dma-buf/pci";
import { describe, expect, it } from "vitest";
import { staleRule, waitRule } from "./access-rule.js";
import { readScenarios } from "./catalogue.js";
import { compare } from "./compare.js";
import { ruleOfRefusal, type Where } from "./refusal-rule.js";

const catalogue = readScenarios();

it.each([
  ["S34c", "dma-address", "OK", "contract", "dma-address/map_dma_buf"],
  ["S04a", "dma-address", "DEGRADED", "port", "0000:02:00.0 ACS ReqRedir CmpltRedir"],
  ["S02a", "vma", "REFUSED", "contract", "vma/mmap"],
  ["S04b", "dma-address", "REFUSED", "port", "0000:02:00.0 ACS ReqRedir CmpltRedir"],
  ["S42b", "pfn", "REFUSED", "contract", "pfn/get_pfn"],
  ["S05b", "dma-address", "FAULT", "iommu", "IOMMU, default domain of 0000:02:00.0"],
  ["S24a", "vma", "FAULT", "device", "the device"],
  ["S04e", "dma-address", "CORRUPT", "port", "host bridge 0000:00"],
  ["S06b", "dma-address", "CORRUPT", "bytes", "I1"],
  ["S58b", "pfn", "CORRUPT", "invariant", "I9"],
  ["S34c", "pfn", "STALE", "contract", "pfn/move_notify"],
  ["S62", "dma-address", "STALE", "invariant", "I9"],
  ["S32b", "pfn", "DISCLOSE", "invariant", "I6"],
  ["S51", "dma-address", "RESLEAK", "invariant", "I7"],
  ["S24b", "vma", "CRASH", "cpu", "a machine check"],
  ["S46b", "linux-7.3", "HANG", "invariant", "I8"],
  ["S07", "dma-address", "UNSPEC", "readings", "S07"],
  ["S24a", "dma-address", "NA", "contract", "dma-address/dma_buf_dynamic_attach"],
  ["S18b", "pfn", "NA", "scenario", "S18b"],
])("%s under %s: %s by %s %s", (scenario, contract, verdict, kind, id) => {
  const [result] = compare({ catalogue, scenarios: [scenario], contracts: [contract] }).results;
  expect([result?.conforming.verdict, result?.rule.kind, result?.rule.id]).toEqual([verdict, kind, id]);
});

describe("a refusal that no port explains", () => {
  const where = { contract: dmaAddress, machine: t1(), exporter: "", devices: [] } as unknown as Where;
  const of = (op: string, code: "ENOMEM" | "ENXIO") =>
    ruleOfRefusal(new DmaBufError(code, { op, stage: "map", message: "no" }), where);

  it.each([
    [
      "a call with a row has that row",
      "dma_buf_map_attachment",
      "ENOMEM",
      "contract",
      "dma-address/dma_buf_map_attachment",
    ],
    [
      "one without has that of the callback whose errno it is",
      "ib_reg_mr",
      "ENOMEM",
      "contract",
      "dma-address/map_dma_buf",
    ],
    ["one with an errno of its own has its name", "ib_reg_mr", "ENXIO", "kernel", "ib_reg_mr"],
  ] as const)("%s", (_what, op, code, kind, id) => expect(of(op, code)).toMatchObject({ kind, id }));
});

describe("what a run waits for", () => {
  const waits = ["race.join", "resv.lock", "resv.lock"].map((site) => ({ task: "main", site, blockedOn: "b" }));
  const deadlock = { kind: "deadlock", waits } as const;
  const around = { kind: "step-limit", stepsMax: 9, waits } as const;

  it.each([
    ["the end of a revoke, while memory is taken", deadlock, true, "I8"],
    ["else where its tasks wait, each place once", deadlock, false, "resv.lock"],
    ["as well where somebody goes round in a circle meanwhile", around, true, "resv.lock"],
    ["nothing", { ...around, waits: [] }, false, "scheduler"],
  ])("is %s", (_what, end, isTaken, id) => expect(waitRule(end, isTaken).id).toBe(id));
});

it("where nobody is told of an invalidate, memory that was given up is the invariant's", () => {
  const { invalidateMappings: _none, ...rows } = dmaAddress.rows;
  expect(staleRule({ ...dmaAddress, rows }, "reached")).toEqual({ kind: "invariant", id: "I2", text: "reached" });
});
