/** Playing a comparison, with a bar while it lasts. */
import { compareInParallel, type CompareRequest, type Comparison } from "@dma-buf/compare";
import { columnNamed } from "./columns.js";
import type { Io } from "./io.js";
import { progress } from "./progress.js";

/** @param request its `contracts` are ids of ours, shown before those of its modules */
export async function play(request: CompareRequest, io: Io): Promise<Comparison> {
  const { contracts = [], contractModules = [] } = request;
  const own = await Promise.all(contractModules.map(columnNamed));
  const bar = progress(io);
  try {
    const all = { ...request, contracts: [...contracts, ...own.map((c) => c.contract.id)] };
    return await compareInParallel(all, ({ scenario, contract }, done, of) =>
      bar.at(done, of, `${scenario} ${contract}`),
    );
  } finally {
    bar.end();
  }
}
