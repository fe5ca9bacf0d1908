/** Contracts by the word that names them: an id of ours, or a module of yours. */
import { type Column, columns, loadModules, unknownContract } from "@dma-buf/compare";
import type { Contract } from "@dma-buf/core";
import { isModule, modulePath } from "./contract-words.js";
import { InputError } from "./errors.js";

/** @throws InputError for an id that does not exist, UsageError for a module with a mistake */
export async function columnNamed(word: string): Promise<Column> {
  if (isModule(word)) return (await loadModules({ contractModules: [modulePath(word)] })).columns[0] as Column;
  checkId(word);
  return columns.find((c) => c.contract.id === word) as Column;
}

/** @throws InputError for an id that none of ours has */
export function checkId(word: string): void {
  const ids = columns.map((c) => c.contract.id);
  if (ids.includes(word)) return;
  throw new InputError(`${unknownContract(word, ids)}; one of yours is named by its path, as ./${word}.mjs`);
}

export async function contractNamed(word: string): Promise<Contract> {
  return (await columnNamed(word)).contract;
}
