/** What a function's registers hold and where it stands: the state that decides whether it answers. */
import type { PciFunction } from "@dma-buf/pci";

/** D3hot answers configuration requests only; D3cold has no power and answers nothing. */
export type PowerState = "D0" | "D3hot" | "D3cold";

/**
 * How a read that reached nobody ends. A posted write has no answer: it vanishes.
 * `unsupported-request`: somebody says that nobody claims it. `completion-timeout`: nobody says anything.
 * `completer-abort`: a port refuses it, an ACS violation.
 */
export type Answer = "unsupported-request" | "completion-timeout" | "completer-abort";

/** Who does not take a request, and how a read learns of it. */
export interface Refusal {
  readonly answer: Answer;
  readonly reason: string;
}

/** Registers and place of a function, now. */
export interface FunctionState {
  memory: boolean;
  busMaster: boolean;
  power: PowerState;
  /** In a reset it is silent, for up to 100 ms. */
  resetting: boolean;
  /** Is somebody in the middle of resetting it? Linux: the device lock. */
  locked: boolean;
  removed: boolean;
  /** Of a port: the link to what is below. */
  linkUp: boolean;
  /** Resets so far: what was read before one is not delivered after it. */
  resets: number;
  /** Stores of CPUs that are on their way to it. */
  posted: number;
}

/** As the capture shows it: present, in D0, its links up. */
export function asCaptured(fn: PciFunction): FunctionState {
  return {
    memory: fn.memoryEnabled,
    busMaster: fn.busMaster,
    power: "D0",
    resetting: false,
    locked: false,
    removed: false,
    linkUp: true,
    resets: 0,
    posted: 0,
  };
}

/** Somebody says that nobody claims it. */
export function unsupported(reason: string): Refusal {
  return { answer: "unsupported-request", reason: `${reason}: unsupported request` };
}
