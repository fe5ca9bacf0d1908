/**
 * A contract of your own: Xu's RFC with one change. The importer asks for a page frame while it holds the reservation,
 * and installs it before it gives the reservation back, so no revoke comes between question and answer.
 */
import { type Column, columns } from "@dma-buf/compare";
import { type Contract, defineContract, pfn, pfnLocked, pfnWindow, type Row } from "@dma-buf/core";

const source = "an example: the RFC's call, moved under the lock of its caller";

/** The RFC says how its call is held and what it refuses; the change says what is no longer so. */
export const pfnFixed: Contract = defineContract(pfn, {
  id: "pfn-fixed",
  title: "As pfn, but asked and installed under one hold of the reservation.",
  remove: ["getPfnUnlocked"],
  add: {
    getPfnAttachment: { ...(pfnLocked.rows.getPfnAttachment as Row), id: "pfn-fixed/dma_buf_get_pfn", source },
  },
  lifeCycle: {
    attached: ["mapAttachment", "getPfnAttachment", "pinAttachment", "unpinAttachment", "detachAttachment"],
    mapped: ["mapAttachment", "unmapAttachment", "getPfnAttachment", "pinAttachment", "unpinAttachment"],
  },
  defects: [],
  *open(framework, attachment) {
    return pfnWindow(framework, attachment, "held");
  },
});

/** The RFC's exporters and importers play under it unchanged: none of them branches on a contract. */
export const pfnFixedColumn: Column = {
  ...(columns.find((column) => column.contract === pfn) as Column),
  contract: pfnFixed,
  like: pfn.id,
};
