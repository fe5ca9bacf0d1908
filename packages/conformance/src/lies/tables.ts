/** Lies of a table, and where they can be told in a frame, of that. */
import { addr, PAGE_SIZE, type Run } from "@dma-buf/core";
import type { Lie } from "./lie.js";

/** Where nothing of any buffer is. */
const ELSEWHERE = 0x90_0000;

const part = (run: Run, offset: number, sizeBytes: number): Run =>
  ({ ...run, offset, sizeBytes, address: addr(run.address + offset - run.offset) }) as Run;
const moved = (run: Run): Run => ({ ...run, address: addr(run.address + ELSEWHERE) }) as Run;
const half = ({ sizeBytes }: Run): number => sizeBytes / 2;

export const tableLies: readonly Lie[] = [
  {
    name: "overlapping-runs",
    title: "runs overlap, and say two things of a page",
    runs: (run) => [part(run, 0, half(run)), moved(part(run, half(run) - PAGE_SIZE, half(run) + PAGE_SIZE))],
  },
  {
    name: "hole",
    title: "runs leave a hole",
    runs: (run) => [part(run, 0, PAGE_SIZE), part(run, half(run), half(run))],
  },
  { name: "short", title: "runs fall short of the end", runs: (run) => [part(run, 0, half(run))] },
  { name: "late", title: "runs begin behind the beginning", runs: (run) => [part(run, half(run), half(run))] },
  { name: "no-runs", title: "a table without runs", runs: () => [] },
  {
    name: "beyond-the-end",
    title: "a run goes on behind the end of the buffer",
    runs: (run) => [part(run, 0, run.sizeBytes + PAGE_SIZE)],
    frame: ({ pfn }, pgoff) => ({ pfn: addr(ELSEWHERE / PAGE_SIZE + pgoff), maxOrder: pfn > 0 ? 3 : 0 }),
  },
  {
    name: "before-the-beginning",
    title: "a run begins before the buffer: an order too large for its place",
    runs: (run) => [{ ...run, offset: -PAGE_SIZE, sizeBytes: run.sizeBytes + PAGE_SIZE }],
    frame: (_truth, pgoff) => ({ pfn: addr(ELSEWHERE / PAGE_SIZE + pgoff + 1), maxOrder: 9 }),
  },
  {
    name: "changing-runs",
    title: "what is said changes, and nobody is told to stop",
    later: true,
    runs(run) {
      let looks = 0;
      return { [Symbol.iterator]: () => [looks++ === 0 ? run : moved(run)][Symbol.iterator]() };
    },
    frame: (truth, pgoff, times) =>
      times === 0 ? truth : { pfn: addr(ELSEWHERE / PAGE_SIZE + pgoff), maxOrder: truth.maxOrder },
  },
  {
    name: "rewritten-runs",
    title: "a run is written again behind the first look at it",
    later: true,
    runs(run) {
      let looks = 0;
      const { address } = moved(run);
      const rewritten = {
        ...run,
        get address() {
          return looks++ === 0 ? run.address : address;
        },
      };
      return [rewritten as Run];
    },
  },
];
