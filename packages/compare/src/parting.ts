/** Two traces side by side: where they part, if what differs is not a name. */
import { type CallName, type Contract, kernelName, rowsOf, type TraceEvent } from "@dma-buf/core";

/** A trace, and the contract whose names its events bear. */
export interface Told {
  readonly contract: Contract;
  readonly trace: readonly TraceEvent[];
}

/**
 * How many events two runs have in common from the beginning on; the length of both, if they never part. The same frame
 * at another address, the same call by the name of another kernel, and the same row of another contract are the same.
 */
export function commonEvents(a: Told, b: Told): number {
  const [first, second] = [unnamed(a), unnamed(b)];
  const at = first.findIndex((event, i) => event !== second[i]);
  return at === -1 ? first.length : at;
}

/** Events as text, with every name replaced by the number of its first appearance. */
function unnamed({ contract, trace }: Told): string[] {
  const calls = callNames(contract);
  const numbers = new Map<string, number>();
  const number = (name: string): string => {
    const known = numbers.get(name) ?? numbers.size;
    numbers.set(name, known);
    return `#${known}`;
  };
  return trace.map(({ task, kind, text }) => {
    const plain = text
      .replaceAll(`${contract.id}/`, "")
      .replaceAll(/\w+/g, (word) => calls.get(word) ?? word)
      .replaceAll(
        /\b(key|domain|ino|fd)([ =])(\d+)/g,
        (_, what: string, sep: string, n: string) => `${what}${sep}${number(what + n)}`,
      )
      .replaceAll(/0x[\da-f]+/g, (hex) => frameless(hex, number));
    return `${task} ${kind} ${plain}`;
  });
}

/** Bits of a page-table entry, or of an address, that say where: 12 to 51. What is left of them are attributes or an offset. */
const FRAME = 0x000f_ffff_ffff_f000n;

function frameless(hex: string, number: (name: string) => string): string {
  const value = BigInt(hex);
  const frame = value & FRAME;
  return frame === 0n ? hex : `${number(frame.toString(16))}+${(value - frame).toString(16)}`;
}

function callNames(contract: Contract): Map<string, CallName> {
  return new Map(rowsOf(contract).map(([call]) => [kernelName(contract, call), call]));
}
