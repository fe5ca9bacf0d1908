/** Who has which part of VRAM. Linux: `amdgpu_vram_mgr`, with first fit in place of a buddy allocator. */
import type { Block } from "./host.js";

export interface VramLimits {
  /** Blocks must end at or below it. @defaultValue all of VRAM */
  readonly end?: number;
  /** From the top down. Linux: `TTM_PL_FLAG_TOPDOWN`. @defaultValue false */
  readonly topDown?: boolean;
}

export class VramManager {
  readonly sizeBytes: number;
  /** Ascending; no two touch. */
  #free: readonly Block[];

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.#free = sizeBytes > 0 ? [{ start: 0, sizeBytes }] : [];
  }

  /** Bytes handed out and not given back. */
  get usedBytes(): number {
    return this.sizeBytes - this.#free.reduce((sum, b) => sum + b.sizeBytes, 0);
  }

  /** One block where one hole is large enough, else several; `null` when there is not so much, and nothing was taken. */
  alloc(sizeBytes: number, { end = this.sizeBytes, topDown = false }: VramLimits = {}): readonly Block[] | null {
    const below = this.#free.flatMap(({ start, sizeBytes: hole }) =>
      start < end ? [{ start, sizeBytes: Math.min(hole, end - start) }] : [],
    );
    const holes = topDown ? below.toReversed() : below;
    const whole = holes.find((hole) => hole.sizeBytes >= sizeBytes);
    const blocks = cut(whole ? [whole] : holes, sizeBytes, topDown);
    for (const block of blocks ?? []) this.#free = this.#free.flatMap((hole) => without(hole, block));
    return blocks;
  }

  free(blocks: readonly Block[]): void {
    const all = [...this.#free, ...blocks].toSorted((a, b) => a.start - b.start);
    this.#free = coalesce(all);
  }
}

/** Blocks of which one goes on where the one before ends are one block. */
export function coalesce(blocks: readonly Block[]): readonly Block[] {
  const out: Block[] = [];
  for (const block of blocks) {
    const last = out.at(-1);
    if (last && last.start + last.sizeBytes === block.start)
      out.splice(-1, 1, { start: last.start, sizeBytes: last.sizeBytes + block.sizeBytes });
    else out.push(block);
  }
  return out;
}

function cut(holes: readonly Block[], wanted: number, topDown: boolean): readonly Block[] | null {
  const blocks: Block[] = [];
  let left = wanted;
  for (const hole of holes) {
    const sizeBytes = Math.min(hole.sizeBytes, left);
    if (sizeBytes > 0)
      blocks.push({ start: topDown ? hole.start + hole.sizeBytes - sizeBytes : hole.start, sizeBytes });
    left -= sizeBytes;
  }
  return left > 0 ? null : blocks;
}

/** What is left of `hole` when `block` is taken out of it. */
function without(hole: Block, block: Block): readonly Block[] {
  const end = hole.start + hole.sizeBytes;
  if (block.start < hole.start || block.start >= end) return [hole];
  const rest = [
    { start: hole.start, sizeBytes: block.start - hole.start },
    { start: block.start + block.sizeBytes, sizeBytes: end - block.start - block.sizeBytes },
  ];
  return rest.filter((b) => b.sizeBytes > 0);
}
