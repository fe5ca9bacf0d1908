/** What an exporter may say that cannot be true, or fail to say: as data, told to an importer that must not install it. */
import type { ExporterCall, MaySleep, PfnAnswer, Run } from "@dma-buf/core";

/** One lie. What it leaves out is told as it is. */
export interface Lie {
  readonly name: string;
  readonly title: string;
  /** What the map callback's table says in place of one true run. It is read anew at each look. */
  runs?(truth: Run): Iterable<Run>;
  /** What is said of a page, by `get_pfn` or by the fault handler of a CPU mapping. `times`: how often before. */
  frame?(truth: PfnAnswer, pgoff: number, times: number): PfnAnswer;
  /** What is done in place of any answer. */
  instead?(): MaySleep<never>;
  /** The callback that throws behind what it does. */
  readonly throwsIn?: ExporterCall;
  /** The first answer is true, and stays so: what it says later must not be installed over it. */
  readonly later?: boolean;
  /** Whoever asks waits for ever: that is the exporter's, and no breach. */
  readonly endless?: boolean;
}
