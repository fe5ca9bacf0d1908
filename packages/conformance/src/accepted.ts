import { DmaBufError, type Op } from "@dma-buf/core";

/** Was it accepted, rather than refused? What is no refusal goes on. */
export function* accepted(op: Op<unknown>): Op<boolean> {
  try {
    yield* op;
    return true;
  } catch (error) {
    if (error instanceof DmaBufError) return false;
    throw error;
  }
}
