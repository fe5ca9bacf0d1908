/** Contracts by the word that names them: an id of ours, or a module of yours. */
import { type Column, columns, loadModules } from "@dma-buf/compare";
import type { Contract } from "@dma-buf/core";
import { isModule, modulePath } from "./contract-words.js";
import { InputError } from "./errors.js";

/** @throws InputError for an id that does not exist, UsageError for a module with a mistake */
export async function columnNamed(word: string): Promise<Column> {
  if (isModule(word)) return (await loadModules({ contractModules: [modulePath(word)] })).columns[0] as Column;
  const found = columns.find((c) => c.contract.id === word);
  if (!found)
    throw new InputError(
      `${word}: no such contract. There are ${columns.map((c) => c.contract.id).join(", ")}; a module of yours is named by its path, as ./${word}.mjs`,
    );
  return found;
}

export async function contractNamed(word: string): Promise<Contract> {
  return (await columnNamed(word)).contract;
}
