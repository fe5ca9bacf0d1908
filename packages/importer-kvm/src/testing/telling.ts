/** An exporter that says whatever it is told to say, under any contract. */
import {
  type DmaBuf,
  type DmaBufOps,
  type Framework,
  PAGE_SIZE,
  type PfnAnswer,
  physOf,
  type Run,
  until,
} from "@dma-buf/core";

export interface Tells {
  readonly pages: number;
  /** The frame of a page, and the order around it. */
  readonly frame: (pgoff: number) => PfnAnswer;
  /** Where the contract carries it. @defaultValue "uc" */
  readonly cache?: "uc" | "wc" | "wb";
  /** A CPU that faults waits for it, as at a migration entry. @defaultValue it does not */
  readonly settled?: () => boolean;
}

export function telling(fw: Framework, { pages, frame, cache = "uc", settled = () => true }: Tells): DmaBuf {
  const runOf = (pgoff: number): Run => ({
    kind: "cpu-physical",
    offset: pgoff * PAGE_SIZE,
    sizeBytes: PAGE_SIZE,
    address: physOf(frame(pgoff).pfn),
    attributes: { cache, snoop: false },
  });
  const all: DmaBufOps = {
    getPfn: (_at, pgoff) => frame(pgoff),
    mmap(_buf, vma) {
      vma.fault = function* (page) {
        yield* until("migration_entry_wait", settled);
        return frame(vma.pgoff + page);
      };
    },
    mapDmaBuf: () => ({ runs: Array.from({ length: pages }, (_, pgoff) => runOf(pgoff)) }),
    unmapDmaBuf() {},
    release() {},
  };
  const { rows } = fw.contract;
  // Who tells frames does not map: KVM comes without a device.
  const wanted = (call: string): boolean => call in rows && !(rows.getPfn && /[mM]apDmaBuf/.test(call));
  const ops = Object.fromEntries(Object.entries(all).filter(([call]) => wanted(call)));
  return fw.export({ exporterName: "telling", ops, sizeBytes: pages * PAGE_SIZE, priv: ops });
}
