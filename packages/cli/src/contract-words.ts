/** What `--contract` takes: ids of ours, `all` of them, and modules of yours. */
import { columns } from "@dma-buf/compare";

/** What the first answer shows: who maps, the exporter or the importer. Every other column is one option away. */
const DEFAULT: readonly string[] = ["dma-address", "pfn"];

export interface ContractWords {
  readonly ids: readonly string[];
  /** Paths. */
  readonly modules: readonly string[];
}

/** A module alone stands beside what is shown without it. */
export function contractWords(words: readonly string[] | undefined): ContractWords {
  const { ids, modules } = namedWords(words ?? []);
  return { ids: ids.length > 0 ? ids : DEFAULT, modules };
}

/** Those that are named, and no other. */
export function namedWords(words: readonly string[]): ContractWords {
  const ids = words
    .filter((word) => !isModule(word))
    .flatMap((word) => (word === "all" ? columns.map((c) => c.contract.id) : [word]));
  return { ids: [...new Set(ids)], modules: words.filter(isModule).map(modulePath) };
}

/** As a path that is no package's name. */
export function modulePath(word: string): string {
  return /[/\\]/.test(word) ? word : `./${word}`;
}

/** Does it look like a path? */
export function isModule(word: string): boolean {
  return /[/\\]|\.[cm]?[jt]s$/.test(word);
}
