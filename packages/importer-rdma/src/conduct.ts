/** What a contract makes of the driver. The variant files say it. */
import type { DmaBufAttachment, Framework, MaySleep, Op, Run, SystemMemory, Window } from "@dma-buf/core";
import { checkedWindow } from "@dma-buf/scatterlist";
import type { RdmaFunction } from "./host.js";

/** A range that a function reaches, and how it is given back, once. */
export interface Mapped {
  readonly address: number;
  release(): MaySleep<void>;
}

/** How a function comes to reach a run. What it throws leaves nothing mapped; it sleeps only on the way to that. */
export type Reach = (run: Run) => MaySleep<Mapped>;

/** One variant. */
export interface Conduct {
  /** How a function of the device comes to reach a run. */
  readonly reach: (device: RdmaFunction, memory: SystemMemory) => Reach;
  /** Opens the view of the buffer. */
  readonly open: (fw: Framework, at: DmaBufAttachment) => Op<Window>;
  /** Where a region without a byte is refused: by the registration, or before that by the user's mmap. @defaultValue "map" */
  readonly refusesEmptyAt?: "map" | "mmap";
  /** The mapping is the driver's own, and with it what bounces: it syncs around each access. */
  readonly syncs: boolean;
  /** Does a `pinned` region bring a callback, which does nothing? Where one is mandatory, it must. */
  readonly stub: boolean;
  /** Does a `pinned-revocable` region pin? Where a pin is a promise of the exporter to stay, one that can be told needs none. */
  readonly revocablePins: boolean;
}

/** The contract's own view, not believed. Linux maps for both directions, always. */
export function* look(fw: Framework, at: DmaBufAttachment): Op<Window> {
  return yield* checkedWindow(fw, at, "bidirectional");
}
