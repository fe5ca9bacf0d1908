/** Where the bytes of a GPU's buffer are, in VRAM or in RAM, and what becomes of the place that it leaves. */
import type { Op } from "@dma-buf/core";
import type { BufferObject, GpuHost, Place } from "@dma-buf/exporter-gpu";
import { GpuMemory } from "@dma-buf/machine";
import type { Judge } from "../../judge.js";
import type { Compromise, Content, PhysRange } from "../content.js";

type Window = GpuHost["window"];

const NAMES = { vram: "VRAM", gtt: "RAM" } as const;

/** By CPU-physical address: RAM, or what of VRAM the window shows. */
export function rangesOf(place: Place | null, window: Window): readonly PhysRange[] {
  if (!place) return [];
  const { domain, blocks } = place;
  if (domain === "gtt") return blocks.map(({ start, sizeBytes }) => ({ base: start, sizeBytes }));
  if (!window) return [];
  const shown = blocks.filter((b) => b.start + b.sizeBytes <= window.sizeBytes);
  return shown.map(({ start, sizeBytes }) => ({ base: window.physical + start, sizeBytes }));
}

/** The GPU as its driver has it; the judge is told what a buffer leaves, and what it comes to. */
export class WatchedMemory extends GpuMemory {
  readonly #judge: Judge;

  constructor(judge: Judge, ...given: ConstructorParameters<typeof GpuMemory>) {
    super(...given);
    this.#judge = judge;
  }

  override *copy(from: Place, to: Place): Op<void> {
    this.#judge.gaveBack(rangesOf(to, this.window));
    yield* super.copy(from, to);
  }

  override wipe(place: Place): void {
    super.wipe(place);
    this.#judge.gaveUp(rangesOf(place, this.window), `the ${NAMES[place.domain]} that the buffer has left`);
  }
}

/** Bytes that the GPU itself can write, too. */
export interface GpuContent extends Content {
  write(offset: number, bytes: Uint8Array): void;
}

/** The bytes as the GPU itself finds them. Of a buffer that is gone there are none. */
export function contentOf(bo: BufferObject, memory: GpuMemory): GpuContent {
  return {
    sizeBytes: bo.sizeBytes,
    ranges: () => rangesOf(bo.place, memory.window),
    read(offset, sizeBytes) {
      const bytes = new Uint8Array(sizeBytes);
      for (const { domain, at, from, to } of pieces(bo.place, offset, sizeBytes))
        bytes.set(memory.read(domain, at, to - from), from);
      return bytes;
    },
    write(offset, bytes) {
      for (const { domain, at, from, to } of pieces(bo.place, offset, bytes.length))
        memory.write(domain, at, bytes.subarray(from, to));
    },
    compromise: () => fallback(bo),
  };
}

interface Piece {
  readonly domain: Place["domain"];
  /** In the domain. */
  readonly at: number;
  /** Counted from the first byte that was asked for. */
  readonly from: number;
  readonly to: number;
}

/** The parts of `[offset, offset + sizeBytes)` of a buffer that lie in one block each. */
function* pieces(place: Place | null, offset: number, sizeBytes: number): Generator<Piece> {
  let start = 0;
  for (const block of place?.blocks ?? []) {
    const from = Math.max(offset, start);
    const to = Math.min(offset + sizeBytes, start + block.sizeBytes);
    const { domain } = place as Place;
    if (from < to) yield { domain, at: block.start + from - start, from: from - offset, to: to - offset };
    start += block.sizeBytes;
  }
}

/** Somebody asked for VRAM and was no peer: the buffer is in RAM for that. */
function fallback({ place, preferred, buf }: BufferObject): Compromise | null {
  if (place?.domain !== "gtt" || preferred !== "vram") return null;
  const by = buf?.attachments.find((at) => at.importer?.allowPeer2peer && !at.peer2peer)?.importerName;
  return by ? { by, text: `the buffer has moved from VRAM to RAM, because ${by} cannot reach VRAM as a peer` } : null;
}
