/** Numbers that are none, and answers that are none. */
import { type Op, until } from "@dma-buf/core";
import type { Lie } from "./lie.js";

const nonsense = (name: string, title: string, runs: object, frame: object): Lie => ({
  name,
  title,
  runs: (run) => [{ ...run, ...runs }],
  frame: (truth) => ({ ...truth, ...frame }),
});

export const nonsenseLies: readonly Lie[] = [
  nonsense("nan-size", "a size or an order that is no number", { sizeBytes: Number.NaN }, { maxOrder: Number.NaN }),
  nonsense("negative-size", "a size or an order below zero", { sizeBytes: -4096 }, { maxOrder: -1 }),
  nonsense("endless-size", "a size or an order without end", { sizeBytes: Infinity }, { maxOrder: Infinity }),
  nonsense("nan-address", "an address that is no number", { address: Number.NaN }, { pfn: Number.NaN }),
  nonsense("negative-address", "an address below zero", { address: -4096 }, { pfn: -1 }),
  nonsense("half-an-address", "an address between two", { address: 0x90_0000 + 0.5 }, { pfn: 0x900 + 0.5 }),
  {
    name: "throws",
    title: "it throws what is no refusal",
    instead() {
      throw new TypeError("told to fail: undefined is no function");
    },
  },
  { name: "promise", title: "it answers with a Promise", instead: () => Promise.resolve({ runs: [] }) as never },
  {
    name: "no-answer",
    title: "it never answers, and the importer is ended",
    endless: true,
    instead: never,
  },
];

function* never(): Op<never> {
  yield* until(
    "exporter.never",
    () => false,
    () => "what never comes",
  );
  throw new TypeError("it never comes");
}
