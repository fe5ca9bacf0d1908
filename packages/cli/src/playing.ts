/** Playing a comparison, with a bar while it lasts. */
import {
  type Collected,
  collectInParallel,
  compareInParallel,
  type CompareRequest,
  type Comparison,
  type OnResult,
} from "@dma-buf/compare";
import { columnNamed } from "./columns.js";
import type { Io } from "./io.js";
import { progress } from "./progress.js";

/** @param request its `contracts` are ids of ours, shown before those of its modules */
export function play(request: CompareRequest, io: Io): Promise<Comparison> {
  return withBar(compareInParallel, request, io);
}

/** {@link play}, with the trace of every cell. */
export function playTraced(request: CompareRequest, io: Io): Promise<Collected> {
  return withBar(collectInParallel, request, io);
}

async function withBar<T>(
  run: (request: CompareRequest, onResult: OnResult) => Promise<T>,
  request: CompareRequest,
  io: Io,
): Promise<T> {
  const { contracts = [], contractModules = [] } = request;
  const own = await Promise.all(contractModules.map(columnNamed));
  const bar = progress(io);
  try {
    const all = { ...request, contracts: [...contracts, ...own.map((c) => c.contract.id)] };
    return await run(all, ({ scenario, contract }, done, of) => bar.at(done, of, `${scenario} ${contract}`));
  } finally {
    bar.end();
  }
}
