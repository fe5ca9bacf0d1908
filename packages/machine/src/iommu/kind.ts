/** The IOMMUs that are modelled: what differs is the table they walk, how the kernel fills it, and how they report a fault. */
import { amdV1, armStage2, type Format, type PageTableOptions, vtdSecondStage } from "@dma-buf/page-table";

/** Intel's, AMD's, and Arm's where it has stage 2 alone. */
export type IommuKind = "vt-d" | "amd-vi" | "smmu-v3";

/** The table format of a domain that the kernel fills through the DMA API or IOMMUFD. */
export const FORMAT_OF: Readonly<Record<IommuKind, Format>> = {
  "vt-d": vtdSecondStage,
  "amd-vi": amdV1,
  "smmu-v3": armStage2,
};

/** Who fills it where something is mapped already: generic_pt, or io-pgtable-arm. */
export const OVERMAP_OF: Readonly<Record<IommuKind, NonNullable<PageTableOptions["overmap"]>>> = {
  "vt-d": "refuse",
  "amd-vi": "refuse",
  "smmu-v3": "replace-table",
};

/**
 * No IOVA is handed out there. On x86 DMA writes there are interrupts, and no IOMMU translates them; an SMMU translates them
 * as anything else, and the kernel maps the doorbell there. `end` is open.
 */
export const INTERRUPTS: Readonly<Record<IommuKind, { readonly base: number; readonly end: number }>> = {
  "vt-d": { base: 0xfee0_0000, end: 0xfef0_0000 },
  "amd-vi": { base: 0xfee0_0000, end: 0xfef0_0000 },
  "smmu-v3": { base: 0x0800_0000, end: 0x0810_0000 },
};

/** Is `address` in a window of interrupts that passes the unit by? */
export function isInterrupt(kind: IommuKind, address: number): boolean {
  const { base, end } = INTERRUPTS[kind];
  return kind !== "smmu-v3" && base <= address && address < end;
}
