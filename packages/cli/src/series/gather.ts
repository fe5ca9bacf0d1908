/** Plays a proposal and what it is set against: a comparison each, so that two revisions may have one id. */
import { type Column, type Comparison, explain } from "@dma-buf/compare";
import { columnNamed } from "../columns.js";
import type { CompareOptions } from "../commands/compare.js";
import type { Cli } from "../commands/cli.js";
import { requestOf, tracedOptions } from "../commands/options.js";
import { isModule, modulePath } from "../contract-words.js";
import { InputError } from "../errors.js";
import { play } from "../playing.js";
import type { Series, Side } from "./report.js";

/** What is set against what, as it was typed. @throws InputError where it is not one proposal against another contract */
export function proposalOf({ base, since, contract: [own, ...more] = [] }: CompareOptions): {
  readonly against: string;
  readonly own: string;
} {
  const against = since ?? base;
  if (own === undefined || more.length > 0)
    throw new InputError(
      "--base and --since set one proposal against another: name it with one --contract, as ./mine.mjs",
    );
  if (against === undefined || against === own)
    throw new InputError(`${own} against itself changes nothing: name another contract with --base`);
  return { against, own };
}

export async function gatherSeries(options: CompareOptions, cli: Cli): Promise<Series> {
  const { base, since } = options;
  const { against, own } = proposalOf(options);
  const before = await sideOf(against, options, cli);
  const after = await sideOf(own, options, cli);
  const column = after.column;
  const traced = await tracedOptions(options);
  return {
    before,
    after,
    ...(since !== undefined && base !== undefined ? { base: await sideOf(base, options, cli) } : {}),
    machine: after.machine,
    version: cli.version,
    argv: cli.argv,
    explain: (scenario) =>
      explain({
        ...traced,
        ...(isModule(own) ? { columns: [column] } : {}),
        scenario,
        contract: column.contract.id,
      }),
  };
}

async function sideOf(
  word: string,
  options: CompareOptions,
  { io }: Cli,
): Promise<Side & { machine: string; column: Column }> {
  const column = await columnNamed(word);
  const { scenario } = options;
  const request = { ...requestOf(options), ...(scenario ? { scenarios: scenario } : {}) };
  const { results, machine } = await play(
    {
      ...request,
      ...(isModule(word) ? { contracts: [], contractModules: [modulePath(word)] } : { contracts: [word] }),
    },
    io,
  );
  return { contract: column.contract, results, machine, column };
}

/** Both as one comparison; two revisions of one id are told apart. */
export function asComparison({ before, after, machine }: Series): Comparison {
  const old = before.contract.id === after.contract.id ? `${before.contract.id} (before)` : before.contract.id;
  const results = after.results.flatMap((result) => {
    const was = before.results.find((r) => r.scenario === result.scenario);
    return was ? [{ ...was, contract: old }, result] : [result];
  });
  return { schemaVersion: 2, machine, contracts: [old, after.contract.id], results };
}
