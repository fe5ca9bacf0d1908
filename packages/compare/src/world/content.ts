/** Where the bytes of a buffer are: what an access should find, asked of nobody but the machine. */

/** Consecutive bytes of CPU-physical memory. */
export interface PhysRange {
  readonly base: number;
  readonly sizeBytes: number;
}

export interface Content {
  readonly sizeBytes: number;
  /** The bytes of the buffer that are there now, looked at by nobody's path. */
  read(offset: number, sizeBytes: number): Uint8Array;
  /** Where they are now; empty where no CPU address leads to them. */
  ranges(): readonly PhysRange[];
  /** Set if they are not where they were meant to be, because somebody who uses them cannot reach them there. */
  compromise?(): Compromise | null;
}

export interface Compromise {
  /** In words. */
  readonly text: string;
  /** Who cannot reach them, by name. */
  readonly by: string;
}

export function isWithin(ranges: readonly PhysRange[], physical: number): boolean {
  return ranges.some(({ base, sizeBytes }) => physical >= base && physical < base + sizeBytes);
}

/** The CPU-physical address of a byte of the buffer; `null` where none leads to it. */
export function physicalAt(content: Content, offset: number): number | null {
  let start = 0;
  for (const { base, sizeBytes } of content.ranges()) {
    if (offset < start + sizeBytes) return base + offset - start;
    start += sizeBytes;
  }
  return null;
}
