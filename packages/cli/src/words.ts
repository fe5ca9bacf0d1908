/** Words of the command line, checked where they are read: a wrong one is named, with the rule and what would be right. */
import { InvalidArgumentError } from "commander";

/** A list that is separated by commas, or given by several options; what is named twice is in it once. */
export function list(value: string, before: readonly string[] = []): readonly string[] {
  const words = value.split(",").map((s) => s.trim());
  if (words.includes("")) throw new InvalidArgumentError("an entry is empty: separate entries by single commas");
  return [...new Set([...before, ...words])];
}

/** A {@link list} of words that are known; case does not matter, and the first word of several is enough. */
export function listOf<T extends string>(known: readonly T[]) {
  return (value: string, before: readonly T[] = []): readonly T[] => [
    ...before,
    ...list(value).map((word) => {
      const found = known.find((k) => k.toLowerCase() === word.toLowerCase() || k.split(",")[0] === word.toLowerCase());
      if (!found)
        throw new InvalidArgumentError(
          `there is no ${word}. Choose from ${known.map((k) => k.split(",")[0]).join(", ")}`,
        );
      return found;
    }),
  ];
}

export function pair(value: string): readonly [string, string] {
  const [a, b, ...rest] = list(value);
  if (a === undefined || b === undefined || rest.length > 0 || a === b)
    throw new InvalidArgumentError("two different contracts are compared: name them as A,B");
  return [a, b];
}

/** How many orders of a race to try. */
export function orders(value: string): "default" | "all" | number {
  if (value === "default" || value === "all") return value;
  return count(value, 1, "default, all, or a number of orders from 1 on");
}

/** How many scenarios to tell more of. */
export function details(value: string): number {
  if (value === "all") return Infinity;
  if (value === "none") return 0;
  return count(value, 0, "all, none, or a number of scenarios");
}

function count(value: string, min: number, rule: string): number {
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (!Number.isSafeInteger(number) || number < min) throw new InvalidArgumentError(`it is ${rule}`);
  return number;
}
