/** What all objects of one open iommufd have in common. */
import type { DmaBuf, Framework, Op, Stage } from "@dma-buf/core";
import type { IommufdHost } from "./host.js";
import type { Pages } from "./pages.js";

/** What a race is won by. Each can be taken out, to see what it is good for. */
export interface Guards {
  /** Flush the IOTLB after unmapping. @defaultValue true */
  readonly flush?: boolean;
  /** Ask again when the buffer was invalidated between the question and the answer's use. @defaultValue true */
  readonly retry?: boolean;
  /** Forget where a buffer lay when it is invalidated. @defaultValue true */
  readonly revoked?: boolean;
  /** Fill and empty tables under `pages->mutex`. @defaultValue true */
  readonly mutex?: boolean;
  /** Wait for the KERNEL fences of a move before a table shows where it goes. @defaultValue true */
  readonly fences?: boolean;
}

/** How an importer of this package is made. */
export interface IommufdOptions {
  /** The code as it was posted or merged, where that differs. @defaultValue false: the best that obeys the contract */
  readonly asPosted?: boolean;
  readonly guards?: Guards;
  /** Bind devices without isolated MSI too? Linux: the module's `allow_unsafe_interrupts`. @defaultValue false */
  readonly allowUnsafeInterrupts?: boolean;
}

/** Which bytes of a buffer. */
export interface BufferRange {
  readonly buf: DmaBuf;
  readonly start: bigint;
  readonly length: bigint;
  /** May devices write, in this mapping and in copies of it? */
  readonly isWritable: boolean;
}

/** The variant: makes a backing of a buffer, attached and not yet asked where it lies. @throws DmaBufError; nothing stays */
export type ImportBuffer = (world: World, range: BufferRange) => Op<Pages>;

/** One open iommufd, as its parts see it. */
export interface World {
  readonly fw: Framework;
  readonly host: IommufdHost;
  readonly options: IommufdOptions;
  readonly guards: Required<Guards>;
  readonly importBuffer: ImportBuffer;
  /** Nothing comes into an iommufd whose fd is closed. @throws DmaBufError `EBADF` at `stage` */
  checkOpen(op: string, stage?: Stage): void;
}
