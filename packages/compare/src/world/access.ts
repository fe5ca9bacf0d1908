/** Reads and writes of whoever imports, held against the bytes of the buffer. */
import { type AccessResult, type DmaBufError, type Op, PAGE_SIZE } from "@dma-buf/core";
import * as v from "valibot";
import { size } from "../scenario/size.js";
import type { Acts } from "./actor.js";
import type { Stage } from "./stage.js";

/** What begins with the first page and must not leave it: the next may lie elsewhere. */
export const inOnePage = v.pipe(size, v.maxValue(PAGE_SIZE, "at most a page, 4 KiB"));

const where = { offset: v.optional(size, 0), bytes: v.optional(size, 64) };
/** An access of `bytes` bytes at `offset` of the buffer that was imported. */
export const accessActions = {
  read: v.strictObject(where),
  /** `later`: it may be under way for a while; who reads those bytes next decides whether it arrived. */
  write: v.strictObject({ ...where, later: v.optional(v.boolean()) }),
};

/** How an importer gets at its buffer. Offsets are the buffer's. */
export interface Accessor {
  /** As it stands in a verdict's rule. */
  readonly name: string;
  /** What the buffer was exported as. */
  readonly buffer: () => string;
  write(offset: number, bytes: Uint8Array): Op<Ended>;
  read(offset: number, sizeBytes: number): Op<Ended>;
  /** The address it used for `offset`, in words. */
  via(offset: number): string;
}

/** How an access ended: as the machine says, or stopped by the importer's device itself, with what refused it, if anybody did. */
export type Ended =
  | AccessResult
  | { readonly kind: "protection-error"; readonly reason: string; readonly cause: DmaBufError | null };

export function accessActs(stage: Stage, { name, buffer, write, read, via }: Accessor): Acts<typeof accessActions> {
  return {
    *write({ offset, bytes: sizeBytes, later }) {
      const bytes = stage.judge.pattern(sizeBytes);
      if (later) stage.judge.willWrite(stage.exported(buffer()).content, offset, bytes);
      const result = settled(yield* write(offset, bytes));
      if (later && result.kind === "done") return;
      stage.judge.access(name, "wrote", result, { ...place(stage, buffer(), offset, via), bytes });
    },
    *read({ offset, bytes: sizeBytes }) {
      const result = settled(yield* read(offset, sizeBytes));
      const at = place(stage, buffer(), offset, via);
      stage.judge.access(name, "read", result, { ...at, bytes: at.content.read(offset, sizeBytes) });
    },
  };
}

function place(stage: Stage, buffer: string, offset: number, via: (offset: number) => string) {
  const { content } = stage.exported(buffer);
  return { content, offset, isTaken: stage.isExcused, via: via(offset) };
}

/** What somebody refused is thrown as it is; what the device stopped is a fault of its own. */
function settled(ended: Ended): AccessResult {
  if (ended.kind !== "protection-error") return ended;
  if (ended.cause) throw ended.cause;
  return { kind: "fault", by: "the device", reason: ended.reason };
}
