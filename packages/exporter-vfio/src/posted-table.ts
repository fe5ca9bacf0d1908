/** The table of the exporter as posted until March 2025: it has room by the length of the whole, and none for each range. */
import type { Rule } from "@dma-buf/core";
import { SEGMENT_BYTES_MAX } from "@dma-buf/scatterlist";
import type { VfioDmaBuf } from "./buffer.js";

const rule: Rule = {
  id: "vfio/populate_sgt",
  op: "vfio_pci_dma_buf_map",
  stage: "map",
  source: "vfio-pci exporter as posted until March 2025, 20250307052248.405803",
};

/** @throws BugSignal where there are more entries than the table has room for: the next is written through NULL */
export function needRoomForAll({ vecs, buf, owner: { fw } }: VfioDmaBuf): void {
  const room = entries(buf.sizeBytes);
  const needed = vecs.reduce((sum, { sizeBytes }) => sum + entries(sizeBytes), 0);
  if (needed <= room) return;
  const told = `${needed} entries for ${vecs.length} ranges, and room for ${room}`;
  if (fw.defect("one-entry-table", told, "exporter")) fw.env.bug(rule, "exporter", told);
}

/** As many as the bytes of one run are cut into. */
function entries(sizeBytes: number): number {
  return Math.ceil(sizeBytes / SEGMENT_BYTES_MAX);
}
