/** The two IOMMUs that are modelled: what differs between them is the table they walk and how they report a fault. */
import { amdV1, type Format, vtdSecondStage } from "@dma-buf/page-table";

/** Intel's and AMD's. */
export type IommuKind = "vt-d" | "amd-vi";

/** The table format of a domain that the kernel fills through the DMA API or IOMMUFD. */
export const FORMAT_OF: Readonly<Record<IommuKind, Format>> = { "vt-d": vtdSecondStage, "amd-vi": amdV1 };

/** DMA writes there are interrupts: no IOMMU translates them, and no IOVA is handed out there. `end` is open. */
export const INTERRUPTS = { base: 0xfee0_0000, end: 0xfef0_0000 } as const;

/** Is `address` in the window of the interrupts? */
export function isInterrupt(address: number): boolean {
  return INTERRUPTS.base <= address && address < INTERRUPTS.end;
}
