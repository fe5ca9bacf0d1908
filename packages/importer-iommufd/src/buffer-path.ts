/** What a contract changes of a dma-buf as a backing: who attaches, how runs are come by, and where they lie. */
import {
  type Device,
  type DmaBufAttachment,
  DmaBufError,
  type ErrnoName,
  hex,
  type Op,
  type Run,
  type Stage,
  type Window,
} from "@dma-buf/core";
import type { Piece } from "./pages.js";
import { hex64 } from "./u64.js";
import type { BufferRange, World } from "./world.js";

/** What a contract changes. */
export interface BufferPath {
  /** Who attaches. `null`: an IOAS has no device of its own. */
  readonly device: Device | null;
  /** How it comes to see runs, after the attach. */
  open(world: World, attachment: DmaBufAttachment): Op<Window>;
  /** Where a run lies. @throws DmaBufError `EOPNOTSUPP` a kind that a domain's table cannot hold */
  place(world: World, run: Run): Pick<Piece, "physical" | "cache">;
  /** Where a range that ends behind the buffer is refused: when it is asked about. @defaultValue before the attach */
  readonly endStage?: Stage;
  /** What the user is told when the buffer is not to be had. @defaultValue what the exporter said */
  refusal?(error: DmaBufError): DmaBufError;
}

/** A refusal of MAP_FILE. */
export function refused(code: ErrnoName, message: string, stage: Stage = "map", cause?: unknown): DmaBufError {
  return new DmaBufError(code, { op: "IOMMU_IOAS_MAP_FILE", stage, message, ...(cause ? { cause } : {}) });
}

/** @throws DmaBufError `EINVAL` at `stage`: the range ends behind the buffer */
export function checkEnd({ buf, start, length }: BufferRange, stage: Stage): void {
  if (start + length <= BigInt(buf.sizeBytes)) return;
  const sizes = [start, length].map(hex64).join(" + ");
  throw refused("EINVAL", `${sizes} is beyond the buffer of ${hex(buf.sizeBytes)} bytes: map less`, stage);
}

/** What a kind of run is refused with, by who takes page frames or annotated addresses. */
export function unusable({ kind, offset }: Run): DmaBufError {
  const at = `offset ${hex(offset)} has a ${kind} address`;
  // Of the right kind, and yet unusable: only annotations can be missing, as where another contract is played.
  if (kind === "cpu-physical")
    return refused("EOPNOTSUPP", `${at} without attributes: use the variant of the framework's contract`);
  return refused("EOPNOTSUPP", `${at}: a domain's table holds CPU-physical ones`);
}
