/** The device's driver, as a memory region sees it, and the table that it writes for one. */
import { type Framework, PAGE_SIZE, type Rule } from "@dma-buf/core";
import type { Conduct } from "./conduct.js";
import type { RdmaHost } from "./host.js";
import type { Mkey } from "./mkey.js";
import type { RdmaGuards } from "./options.js";
import { bestPageSize } from "./page-size.js";
import { refusal } from "./refuse.js";
import type { Segment } from "./segments.js";
import { TranslationTable } from "./translation.js";

export interface Driver {
  readonly fw: Framework;
  readonly name: string;
  readonly host: RdmaHost;
  readonly conduct: Conduct;
  readonly guards: RdmaGuards;
  readonly pageSizesLog2: readonly number[];
  /** Fault injection: the function for which it attaches. `undefined`: the one that does the DMA. */
  readonly attachesFor: number | undefined;
  readonly costs: { entriesWritten: number; zaps: number; pageFaults: number; callbacks: number };
}

/** What allocates, by the kernel's name of the call. */
export const allocation = (op: string): Rule => ({
  id: `rdma/${op}`,
  op,
  stage: "map",
  source: "Linux 7.3, drivers/infiniband/core/umem_dmabuf.c, hw/mlx5/umr.c",
});

/**
 * The translation table of a region that is mapped in `segments`.
 * @throws DmaBufError `EINVAL` no page size of the device fits · `ENOMEM`
 */
export function tableFor(driver: Driver, { key, request }: Mkey, segments: readonly Segment[]): TranslationTable {
  const { fw, pageSizesLog2, costs, name } = driver;
  const { iova, sizeBytes } = request;
  const pageBytes = bestPageSize(segments, { iova, sizeBytes }, pageSizesLog2);
  const wrong = `iova ${iova} and the addresses of ${segments.length} segment(s) agree in no page size of the device`;
  if (pageBytes === 0)
    throw refusal("EINVAL", "ib_reg_user_mr_dmabuf", `${wrong}: choose the iova by the buffer`, { iova });
  fw.env.alloc(allocation("mlx5r_umr_update_mr_pas"));
  const table = new TranslationTable(iova, sizeBytes, pageBytes);
  table.fill(segments, iova - (iova % PAGE_SIZE));
  costs.entriesWritten += table.entries.length;
  fw.trace.emit("store", () => `${name}: key ${key} has ${table.entries.length} entries of ${pageBytes} bytes`);
  return table;
}
