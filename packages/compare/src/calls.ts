/** The calls that have a row under any contract of ours: what a file or a module may name. */
import { type CallName, contracts, rowsOf } from "@dma-buf/core";

export const CALLS: readonly CallName[] = [
  ...new Set(contracts.flatMap((contract) => rowsOf(contract).map(([call]) => call))),
];
