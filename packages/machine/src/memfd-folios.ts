/** The pages of a memory file: by their place in it, allocated when they are touched, with their pins. */
import { DmaBufError, type ErrnoName, hex, type PhysAddr, type Stage } from "@dma-buf/core";
import type { FramePool } from "./memfd-frames.js";
import type { PhysicalMemory } from "./physical.js";

/** What all memory files of a machine share. */
export interface MemfdParts {
  readonly memory: PhysicalMemory;
  readonly frames: FramePool;
  /** The page that moves: one at a time, as one thread compacts memory. */
  compacting: string | null;
  /** Pins that were not given back. */
  pins: number;
}

/** Consecutive bytes by CPU-physical address. */
export interface FolioRange {
  readonly physical: PhysAddr;
  readonly sizeBytes: number;
}

/** Pages that stay where they are until they are unpinned, once. */
export interface PinnedFolios {
  readonly ranges: readonly FolioRange[];
  unpin(): void;
}

export interface Folio {
  physical: PhysAddr;
  pins: number;
}

interface Piece {
  readonly folio: Folio;
  /** Bytes into the page. */
  readonly into: number;
  readonly sizeBytes: number;
}

export class Folios {
  /** For messages. */
  readonly name: string;
  readonly pageBytes: number;
  readonly #parts: MemfdParts;
  readonly #byIndex = new Map<number, Folio>();

  constructor(parts: MemfdParts, name: string, pageBytes: number) {
    this.name = name;
    this.#parts = parts;
    this.pageBytes = pageBytes;
  }

  /** The page that holds a byte, if it was ever touched. */
  at(offset: number): Folio | null {
    return this.#byIndex.get(this.indexOf(offset)) ?? null;
  }

  indexOf(offset: number): number {
    return Math.floor(offset / this.pageBytes);
  }

  get isPinned(): boolean {
    return [...this.#byIndex.values()].some((folio) => folio.pins > 0);
  }

  /** Page by page. @throws DmaBufError `ENOMEM` */
  ranges(offset: number, sizeBytes: number): readonly FolioRange[] {
    return rangesOf(this.#pieces(offset, sizeBytes));
  }

  /** @throws DmaBufError `ENOMEM`; nothing is pinned */
  pin(offset: number, sizeBytes: number): PinnedFolios {
    const pieces = this.#pieces(offset, sizeBytes);
    for (const { folio } of pieces) folio.pins++;
    this.#parts.pins += pieces.length;
    return { ranges: rangesOf(pieces), unpin: () => this.#unpin(pieces) };
  }

  /**
   * Takes what lies beyond `sizeBytes` out of the file: whole pages, those that are pinned are given back when they are
   * unpinned; of the page that holds the end the bytes, which become zero.
   */
  cut(sizeBytes: number): void {
    for (const [at, folio] of this.#byIndex) {
      const kept = sizeBytes - at * this.pageBytes;
      if (kept >= this.pageBytes) continue;
      if (kept > 0) {
        this.#parts.memory.write(folio.physical + kept, new Uint8Array(this.pageBytes - kept));
        continue;
      }
      this.#byIndex.delete(at);
      if (folio.pins === 0) this.#parts.frames.free(folio.physical, this.pageBytes);
    }
  }

  #pieces(offset: number, sizeBytes: number): readonly Piece[] {
    const pieces: Piece[] = [];
    for (let at = offset; at < offset + sizeBytes; at += pieces.at(-1)?.sizeBytes ?? 0) {
      const into = at % this.pageBytes;
      const length = Math.min(this.pageBytes - into, offset + sizeBytes - at);
      pieces.push({ folio: this.#touch(this.indexOf(at)), into, sizeBytes: length });
    }
    return pieces;
  }

  #touch(index: number): Folio {
    const known = this.#byIndex.get(index);
    if (known) return known;
    const folio = { physical: this.#parts.frames.alloc(this.pageBytes), pins: 0 };
    this.#byIndex.set(index, folio);
    return folio;
  }

  #unpin(pieces: readonly Piece[]): void {
    this.#parts.pins -= pieces.length;
    const kept = new Set(this.#byIndex.values());
    for (const { folio } of pieces)
      if (--folio.pins === 0 && !kept.has(folio)) this.#parts.frames.free(folio.physical, this.pageBytes);
  }
}

function rangesOf(pieces: readonly Piece[]): readonly FolioRange[] {
  return pieces.map(({ folio, into, sizeBytes }) => ({ physical: (folio.physical + into) as PhysAddr, sizeBytes }));
}

/** @throws DmaBufError `EINVAL` empty, or not within the file */
export function checkWithin(offset: number, sizeBytes: number, fileBytes: number): void {
  if (sizeBytes > 0 && offset >= 0 && offset + sizeBytes <= fileBytes) return;
  const message = `[${hex(offset)}, +${hex(sizeBytes)}) is empty or not within the ${hex(fileBytes)} bytes of the file`;
  throw refused("EINVAL", "memfd_pin_folios", message, "export");
}

export function refused(code: ErrnoName, op: string, message: string, stage: Stage = "fd"): DmaBufError {
  return new DmaBufError(code, { op, stage, message });
}
