/**
 * GPUVM, the table of an AMD GPU's own MMU, in GFX9's layout: Linux counts PDB2, PDB1, PDB0, PTB from the root; here level
 * 0 is the lowest. From GFX9 on, a directory entry can be a leaf ("PDE handled as PTE"), at every level.
 */
import { bit, entryLog2, field, type Format, knownLeaf, knownTable, type MemoryType, when } from "../format.js";

const VALID = bit(0);
/** The address is one that the GPU puts on the bus, not one of its own memory. */
const SYSTEM = bit(1);
const SNOOPED = bit(2);
const EXECUTABLE = bit(4);
const READABLE = bit(5);
const WRITEABLE = bit(6);
/** log2 of the 4 KiB pages that lie in a row around this one: how much of the table the first TLB may take at once. */
const FRAG_SHIFT = 7n;
const PDE_PTE = bit(54);
const MTYPE = field(58, 57);
/** Memory types in bits 58:57: kept in the GPU's cache without coherence, and not kept in it. */
const [NC, UC] = [0n, bit(57) | bit(58)];

/** The CPU caches the memory too: snooped. An uncached leaf is also kept out of the cache of the GPU. */
const TYPES: Readonly<Partial<Record<MemoryType, bigint>>> = { wb: SNOOPED | NC, wc: NC, uc: UC };
const NAMES = new Map(Object.entries(TYPES).map(([name, bits]) => [bits, name as MemoryType]));

/** PDE as PTE of a level counts its own pages as one fragment. */
const fragmentOf = (level: number): bigint => BigInt(entryLog2(level) - 12) << FRAG_SHIFT;

/**
 * GPUVM of GFX9: four levels, 48-bit addresses, as the table has them: above bit 47, where a program's address repeats
 * bit 47, nothing is left. Tables are in system memory. Without a memory type, a leaf is cached and snooped.
 *
 * A leaf's fragment is its own size. amdgpu writes a larger one where more memory lies in a row, in the same entries:
 * the first TLB then needs fewer of its own, and no walk reads anything else.
 * @example
 * amdgpuVm.leafSizesLog2; // [12, 21, 30, 39]
 */
export const amdgpuVm: Format = {
  id: "amdgpu-vm",
  title: "AMD GPUVM",
  source: "Linux drivers/gpu/drm/amd/amdgpu/amdgpu_vm.h, amdgpu_vm_pt.c and gmc_v9_0.c",
  known: [
    knownLeaf(0x1234_5000, 12, { read: true, write: true }, 0x1234_5067n),
    knownLeaf(0x1220_0000, 21, { read: true, write: false }, 0x40_0000_1220_04a7n),
    knownLeaf(0x4000_0000, 30, { read: true, write: true, execute: true }, 0x40_0000_4000_0977n),
    knownLeaf(0x1234_5000, 12, { read: true, write: true, cache: "wc" }, 0x1234_5063n),
    knownLeaf(0x1234_5000, 12, { read: true, write: true, cache: "uc" }, 0x600_0000_1234_5063n),
    knownLeaf(0x1220_0000, 21, { read: true, write: true, deviceMemory: true }, 0x40_0000_1220_04e1n),
    knownTable(1, 0x1000, 0x1007n),
  ],
  levels: 4,
  vaBits: 48,
  oaBits: 48,
  leafSizesLog2: [12, 21, 30, 39],
  memoryTypes: ["uc", "wc", "wb"],
  hasDeviceMemory: true,
  address: field(47, 12),
  present: VALID,
  tableMark: () => ({ mask: PDE_PTE, value: 0n }),
  tableFlags: () => VALID | SYSTEM | SNOOPED,
  leafFlags: ({ level }, { read, write, execute, cache, deviceMemory = false }) =>
    VALID |
    when(!deviceMemory, SYSTEM) |
    (TYPES[cache ?? (deviceMemory ? "wc" : "wb")] ?? 0n) |
    when(execute, EXECUTABLE) |
    when(read, READABLE) |
    when(write, WRITEABLE) |
    fragmentOf(level) |
    when(level > 0, PDE_PTE),
  protection(entry) {
    const allowed = {
      read: (entry & READABLE) !== 0n,
      write: (entry & WRITEABLE) !== 0n,
      execute: (entry & EXECUTABLE) !== 0n,
      ...((entry & SYSTEM) === 0n ? { deviceMemory: true } : {}),
    };
    const cache = NAMES.get(entry & (MTYPE | SNOOPED));
    return cache ? { ...allowed, cache } : allowed;
  },
  // The hardware notes neither.
  accessed: 0n,
  dirty: 0n,
};
