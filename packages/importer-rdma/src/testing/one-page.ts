/** An exporter of one page, in the words of each contract. */
import { addr, type DmaBufOps, PAGE_SIZE, type Pfn, type Run } from "@dma-buf/core";
import type { Rig } from "./rig.js";
import type { VariantId } from "./variants.js";

/**
 * `where` says where the page is now, or throws. It is dynamic, or Linux 6.13 maps at attach; it counts no pins: whoever
 * pins is told all the same.
 */
export function onePage(r: Rig, id: VariantId, where: () => number): DmaBufOps {
  const run = (): Run => {
    const extent = { offset: 0, sizeBytes: PAGE_SIZE, address: addr<never>(where()) };
    const [bus] = r.host.functions[0]?.spaces ?? [];
    return id === "annotated-address"
      ? ({ ...extent, ...bus, attributes: { cache: "wb", snoop: true } } as Run)
      : { kind: "dma", ...extent };
  };
  const maps = { mapDmaBuf: () => ({ runs: [run()] }), unmapDmaBuf() {} };
  const tells = { getPfn: () => ({ pfn: addr<Pfn>(where() / PAGE_SIZE), maxOrder: 0 }) };
  return { ...(r.fw.contract.rows.getPfn ? tells : maps), pin() {}, unpin() {}, release() {} };
}
