/** An exporter that hands out other runs than its table has. */
import { type DmaBufOps, type Op, perform, type Run, type SgTable } from "@dma-buf/core";

/** The table that is given back is the one that was made. */
export function withRuns(ops: DmaBufOps, change: (runs: readonly Run[]) => readonly Run[]): DmaBufOps {
  const { mapDmaBuf, unmapDmaBuf } = ops;
  if (!mapDmaBuf || !unmapDmaBuf) return ops;
  const made = new WeakMap<SgTable, SgTable>();
  return {
    ...ops,
    *mapDmaBuf(at, direction, held): Op<SgTable> {
      const table = yield* perform(mapDmaBuf(at, direction, held));
      const shown: SgTable = { ...table, runs: change([...table.runs]) };
      made.set(shown, table);
      return shown;
    },
    *unmapDmaBuf(at, table, direction, held): Op<void> {
      yield* perform(unmapDmaBuf(at, made.get(table) ?? table, direction, held));
    },
  };
}
