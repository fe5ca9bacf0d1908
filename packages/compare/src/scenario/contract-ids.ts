/** Ids of contracts: those that are known and have no column yet, and what a wrong one was meant to be. */

/** Known, and not built yet: scenarios say what to expect of them, and nobody plays them. */
const PLANNED: readonly string[] = ["mapping-type", "importer-domain"];

/** Of a short id so many letters make another word. */
const SHORT = 4;

export function isPlanned(id: string): boolean {
  return PLANNED.includes(id);
}

/**
 * The id that was most likely meant, of a column or a planned one: one letter or two are wrong, in a short id one.
 * `null`: it is like none of them, or one of them itself.
 */
export function meant(id: string, columns: readonly string[]): string | null {
  const most = id.length > SHORT ? 2 : 1;
  const [best] = [...columns, ...PLANNED]
    .map((word) => ({ word, distance: distance(id, word) }))
    .toSorted((a, b) => a.distance - b.distance);
  return best && best.distance > 0 && best.distance <= most ? best.word : null;
}

/**
 * What to say of an id that no column has.
 * @example
 * unknownContract("dma-adress", ["dma-address", "pfn"]); // unknown contract "dma-adress": did you mean dma-address? There are ...
 */
export function unknownContract(id: string, columns: readonly string[]): string {
  const name = JSON.stringify(id);
  const all = `There are ${columns.join(", ")}`;
  if (isPlanned(id))
    return `contract ${name} is known and not built yet: scenarios say what to expect of it, and nobody plays it. ${all}`;
  const word = meant(id, columns);
  return `unknown contract ${name}${word === null ? "." : `: did you mean ${word}?`} ${all}`;
}

/** Letters to put in, take out or replace, or neighbours to swap. */
function distance(a: string, b: string): number {
  let [before, above]: [number[], number[]] = [[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const line = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      line[j] = Math.min(
        (above[j] as number) + 1,
        (line[j - 1] as number) + 1,
        (above[j - 1] as number) + (isSame ? 0 : 1),
        isSwapped ? (before[j - 2] as number) + 1 : Infinity,
      );
    }
    [before, above] = [above, line];
  }
  return above[b.length] as number;
}
