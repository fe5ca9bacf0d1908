/** What the actors of one run stand on. */
import type { Framework, Scheduler } from "@dma-buf/core";
import type { Machine, MachineDevice } from "@dma-buf/machine";
import type { Binding } from "../binding.js";
import type { Column } from "../column.js";
import type { Judge } from "../judge.js";
import type { Scenario } from "../scenario/scenario.js";
import type { Exported } from "./actor.js";
import type { TrustedIo } from "./trusted-io.js";

/** Which code plays: each side as posted, or as the best that obeys the contract. */
export interface Cast {
  readonly exporterAsPosted: boolean;
  readonly importerAsPosted: boolean;
}

export interface Stage {
  readonly scenario: Scenario;
  readonly column: Column;
  readonly cast: Cast;
  readonly binding: Binding;
  readonly scheduler: Scheduler;
  readonly framework: Framework;
  readonly machine: Machine;
  readonly judge: Judge;
  readonly trustedIo: TrustedIo;
  /** The next function of the binding that does DMA; each is given out once. */
  nextDevice(): MachineDevice;
  /** The first function of another importer. */
  deviceOf(importer: string): MachineDevice;
  /** What the exporter exported under that name. @throws NotApplicable */
  exported(name: string): Exported;
  /** Is the memory taken away now? Then a refusal or a fault is the contract at work. */
  readonly isTaken: boolean;
  /** It is taken away, and the end of this step is not the question itself: then nothing that it meets is anybody's fault. */
  readonly isExcused: boolean;
  /** The exporter says that it took the memory away, or gave it back; ranges that it gave up are told to the judge. */
  setTaken(taken: boolean): void;
}
