/** Each verdict says what decided it: what a maintainer can look up, and not who happened to say so. */
import { expect, it } from "vitest";
import { readScenarios } from "./catalogue.js";
import { compare } from "./compare.js";

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
