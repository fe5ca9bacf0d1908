/** Where the bytes of a GPU's buffer are, in VRAM or in RAM, and what becomes of the place that it leaves. */
import type { Op } from "@dma-buf/core";
import type { BufferObject, GpuHost, Place } from "@dma-buf/exporter-gpu";
import { GpuMemory } from "@dma-buf/machine";
import type { Judge } from "../../judge.js";
import type { Content, PhysRange } from "../content.js";

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

/** The bytes as the GPU itself finds them. Of a buffer that is gone there are none. */
export function contentOf(bo: BufferObject, memory: GpuMemory): Content {
  return {
    sizeBytes: bo.sizeBytes,
    ranges: () => rangesOf(bo.place, memory.window),
    read(offset, sizeBytes) {
      const bytes = new Uint8Array(sizeBytes);
      let start = 0;
      for (const block of bo.place?.blocks ?? []) {
        const from = Math.max(offset, start);
        const to = Math.min(offset + sizeBytes, start + block.sizeBytes);
        const { domain } = bo.place as Place;
        if (from < to) bytes.set(memory.read(domain, block.start + from - start, to - from), from - offset);
        start += block.sizeBytes;
      }
      return bytes;
    },
    compromise: () => fallback(bo),
  };
}

/** Somebody asked for VRAM and was no peer: the buffer is in RAM for that. */
function fallback({ place, preferred, buf }: BufferObject): string | null {
  if (place?.domain !== "gtt" || preferred !== "vram") return null;
  const who = buf?.attachments.find((at) => at.importer?.allowPeer2peer && !at.peer2peer);
  return who ? `the buffer has moved from VRAM to RAM, because ${who.importerName} cannot reach VRAM as a peer` : null;
}
