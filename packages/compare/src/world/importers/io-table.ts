/** What is in the table that a device walks: leaves as large as can be, and none once the memory was taken away. */
import type { Leaf } from "@dma-buf/page-table";
import type { Rule } from "../../result.js";
import { fewestLeaves } from "../leaves.js";
import type { Stage } from "../stage.js";
import type { DmaActs } from "./dma-acts.js";

/** Looks into the table of what was imported: all of the buffer. */
export function lookIntoTable(stage: Stage, dma: DmaActs): void {
  const { range, mapper } = dma;
  const leaves = [...(mapper.domain?.table.leaves(range.iova, range.sizeBytes) ?? [])];
  if (stage.isTaken) judgeEmpty(stage, dma, leaves);
  else judgeLeaves(stage, dma, leaves);
}

/** What the IOTLB holds is reached as well as what the table shows. */
function judgeEmpty({ judge, machine }: Stage, { mapper }: DmaActs, leaves: readonly Leaf[]): void {
  const attached = machine.domainOf(mapper.device);
  const cached = typeof attached === "string" ? 0 : machine.iommuUnit.cached(attached);
  const text = `${mapper.name}: of memory that was taken away, ${leaves.length} leaves in the table and ${cached} in the IOTLB`;
  const rule: Rule = { kind: "iommu", id: "I2", text };
  if (leaves.length + cached > 0) judge.mark("STALE", rule);
  else judge.good(rule);
}

function judgeLeaves(stage: Stage, { mapper, range, buffer }: DmaActs, leaves: readonly Leaf[]): void {
  const sizes = mapper.domain?.table.format.leafSizesLog2 ?? [];
  const fewest = fewestLeaves(range.iova, stage.exported(buffer).content.ranges(), sizes);
  const rule: Rule = {
    kind: "iommu",
    id: "I5",
    text: `${mapper.name}: ${leaves.length} leaves, and ${fewest} would do`,
  };
  if (leaves.length > fewest) stage.judge.mark("DEGRADED", rule);
  else stage.judge.good(rule);
}
