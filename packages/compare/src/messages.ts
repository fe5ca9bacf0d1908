/** What the pool and its workers say to each other. */
import type { MessagePort } from "node:worker_threads";
import type { Result } from "./result.js";
import type { CompareRequest } from "./request.js";

/** Runs the cells of a row, the `from`-th first. */
export interface Order {
  readonly row: number;
  readonly from: number;
}

/** How a cell ends from which no thread comes back, by how it was lost; `null`: only our code runs in it. */
export type Lost = Readonly<Record<"hung" | "gone", Result>> | null;

export interface Plan {
  readonly is: "plan";
  readonly machine: string;
  readonly contracts: readonly string[];
  /** The cells of each scenario. */
  readonly rows: readonly (readonly Lost[])[];
  /** Of each scenario: has it a race? Then it takes the longest, and is begun first. */
  readonly races: readonly boolean[];
}

export type Report =
  | Plan
  | { readonly is: "result"; readonly row: number; readonly cell: number; readonly result: Result }
  | { readonly is: "row-done" }
  /** Bad use is told as a text; what is our own mistake, as the error that it is. */
  | { readonly is: "bad-use"; readonly message: string }
  | { readonly is: "mistake"; readonly error: unknown };

/** What a worker is started with. */
export interface WorkerData {
  readonly request: CompareRequest;
  /** What modules post to the thread's own port is none of our reports. */
  readonly port: MessagePort;
}
