/** The command as tests run it: words in, exit code and both outputs back; and cells that nobody had to run. */
import type { Comparison, Result } from "@dma-buf/compare";
import type { Io } from "./io.js";
import { run } from "./run.js";

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export async function dmaBuf(...argv: string[]): Promise<Ran> {
  let [out, err] = ["", ""];
  const io = { ...ioOf(100), out: (t: string) => void (out += t), err: (t: string) => void (err += t) };
  return { code: await run(argv, "1.2.3", io), out, err };
}

export function ioOf(columns: number, colour = false): Io {
  return { out() {}, err() {}, columns, colour, debug: false, now: () => 0 };
}

const EXPECTED = { asPosted: { verdict: "NA" }, conforming: { verdict: "OK" }, blame: "none", basis: "code" } as const;

/** A cell that ends as it should, but for what is said of it. */
export function resultOf(some: Partial<Result>): Result {
  return {
    scenario: "S1",
    title: "T",
    exporter: "x",
    importer: "y",
    importerClass: "zap",
    packages: ["@dma-buf/exporter-vfio", "@dma-buf/importer-kvm"],
    contract: "a",
    topology: "host",
    binding: "BAR 0",
    fault: null,
    asPosted: { verdict: "NA" },
    implementation: null,
    conforming: { verdict: "OK" },
    blame: "none",
    basis: "code",
    rule: { kind: "bytes", id: "I1", text: "because" },
    postedRule: null,
    expected: EXPECTED,
    asExpected: true,
    ...some,
  };
}

export function comparisonOf(...results: readonly Partial<Result>[]): Comparison {
  const all = results.map(resultOf);
  return { schemaVersion: 2, machine: "m", contracts: [...new Set(all.map((r) => r.contract))], results: all };
}

export function widthOf(text: string): number {
  return Math.max(...text.split("\n").map((line) => line.length));
}
