/** A range of an address space: which part of which buffer is to appear where, and the entries that this makes. */
import { addr, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import type { MemoryType, Protection } from "@dma-buf/page-table";
import type { Content, ImportedBo, Piece } from "./buffer-object.js";
import type { VmRange } from "./importer.js";
import { refuse } from "./refuse.js";
import type { Vm } from "./vm.js";

export interface VmMapping extends Required<VmRange> {
  readonly vm: Vm;
  /** `null`: what another device was told, in `borrowed`. */
  readonly bo: ImportedBo | null;
  readonly borrowed: Content | null;
  /** Do entries lead there? */
  isWritten: boolean;
}

/** What `PageTable.map()` is given. */
export interface Entries {
  readonly va: number;
  /** What the GPU puts out: on the bus, or, as device memory, into its fabric. */
  readonly address: PhysAddr;
  readonly sizeBytes: number;
  readonly protection: Protection;
}

const VA_END = 2 ** 48;

/** The range with what was left out. @throws DmaBufError `EINVAL` */
export function completed({ va, offset = 0, write = true, ...rest }: VmRange, bufferBytes: number): Required<VmRange> {
  const { sizeBytes = bufferBytes - offset } = rest;
  const values = { va, offset, sizeBytes };
  const bad = (message: string): never => refuse("EINVAL", "amdgpu_vm_bo_map", "map", message, values);
  for (const [name, value] of Object.entries(values))
    if (!(Number.isSafeInteger(value) && value >= 0 && value % PAGE_SIZE === 0))
      bad(`${name} ${value}: give whole pages of ${PAGE_SIZE} bytes`);
  if (sizeBytes === 0) bad("an empty range: give at least one page");
  if (offset + sizeBytes > bufferBytes) bad(`it ends behind the buffer of ${bufferBytes} bytes: map less`);
  if (va + sizeBytes > VA_END) bad("it ends beyond the GPU's 48 bits: map lower");
  return { va, offset, sizeBytes, write };
}

/** The entries for what of `content` lies in the range. */
export function entriesOf(mapping: VmMapping, content: Content): Entries[] {
  const { va, offset, sizeBytes, write } = mapping;
  return content.pieces.flatMap((piece) => {
    const { run, address } = piece;
    const from = Math.max(run.offset, offset);
    const to = Math.min(run.offset + run.sizeBytes, offset + sizeBytes);
    if (to <= from) return [];
    const at = addr<PhysAddr>(address + from - run.offset);
    return [
      {
        va: va + from - offset,
        address: at,
        sizeBytes: to - from,
        protection: { read: true, write, ...kindOf(piece) },
      },
    ];
  });
}

/** What is not on the bus is device memory to a GPU; where the contract says how memory is cached, entries say it too. */
function kindOf({ run, deviceMemory }: Piece): Pick<Protection, "cache" | "deviceMemory"> {
  const where = deviceMemory ? { deviceMemory } : {};
  if (run.kind === "dma" || run.attributes === null) return where;
  const { cache, snoop } = run.attributes;
  const type: MemoryType = cache === "uc" || !snoop ? (cache === "wb" ? "wc" : cache) : "wb";
  return { cache: type, ...where };
}
