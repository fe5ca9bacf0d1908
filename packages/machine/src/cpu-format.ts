/** x86-64 paging with memory types: the two low PAT bits, in the order in which Linux programs the PAT. */
import { bit, type Format, knownLeaf, type MemoryType, x86 } from "@dma-buf/page-table";

/** Linux: `_PAGE_PWT`, `_PAGE_PCD`. Index 0 is WB, 1 WC, 3 UC; 2 is UC-, which an MTRR may turn into WC: not used here. */
const PWT = bit(3);
const PCD = bit(4);
const TYPES: Readonly<Partial<Record<MemoryType, bigint>>> = { wb: 0n, wc: PWT, uc: PCD | PWT };

/** As {@link x86}; a leaf without a type is write-back. The third bit, PAT, is never set: WT and WP are refused. */
export const x86Pat: Format = {
  ...x86,
  id: "x86-64-pat",
  title: "x86-64 with memory types",
  source: "Intel SDM volume 3, 5.9 and 13.12; Linux arch/x86/mm/pat/memtype.c",
  memoryTypes: ["uc", "wc", "wb"],
  known: [
    ...x86.known,
    knownLeaf(0x1234_5000, 12, { read: true, write: true, cache: "uc" }, 0x1234_507fn),
    knownLeaf(0x1234_5000, 12, { read: true, write: true, cache: "wc" }, 0x1234_506fn),
  ],
  leafFlags: (shape, protection) => x86.leafFlags(shape, protection) | (TYPES[protection.cache ?? "wb"] as bigint),
  protection: (entry, level) => ({ ...x86.protection(entry, level), cache: typeOf(entry) }),
};

function typeOf(entry: bigint): MemoryType {
  if ((entry & PCD) !== 0n) return "uc";
  return (entry & PWT) === 0n ? "wb" : "wc";
}
