/** A function that is assigned through VFIO: what an exporter of its BARs needs of the machine. */
import type { Op, P2pProvider, PhysAddr } from "@dma-buf/core";
import type { Bar, PciFunction } from "@dma-buf/pci";
import { resetFunction } from "./function-reset.js";
import type { PowerState } from "./function-registers.js";
import type { Machine } from "./machine.js";

/** What a capture does not say of a function. */
export interface VfioPciOptions {
  /** Did a reset work when the function was opened? @defaultValue true */
  readonly canReset?: boolean;
  /** Does its capability offer a function level reset? @defaultValue true */
  readonly hasFlr?: boolean;
}

export class VfioPciDevice {
  readonly name: string;
  readonly canReset: boolean;
  readonly hasFlr: boolean;
  readonly #machine: Machine;
  readonly #fn: PciFunction;

  constructor(machine: Machine, address: string, { canReset = true, hasFlr = true }: VfioPciOptions = {}) {
    this.#machine = machine;
    this.#fn = machine.topology.get(address);
    this.name = address;
    this.canReset = canReset;
    this.hasFlr = hasFlr;
  }

  /** The BAR `index`, memory or I/O, or `null` where there is none. An I/O BAR has no {@link provider}. */
  region(index: number): { readonly physical: PhysAddr; readonly sizeBytes: number } | null {
    const bar = this.#bar(index);
    return bar ? { physical: bar.base, sizeBytes: bar.sizeBytes } : null;
  }

  provider(index: number): P2pProvider | null {
    const bar = this.#bar(index);
    return bar ? this.#machine.provider(this.#fn, bar) : null;
  }

  /** Of a virtual function, always: it has no such bit, and decodes when its physical function lets it. */
  get memoryEnabled(): boolean {
    return this.#fn.physfn !== null || this.#machine.memoryDecode(this.#fn);
  }

  setMemoryEnabled(on: boolean): void {
    this.#machine.setMemoryDecode(this.#fn, on);
  }

  /**
   * COMMAND.MEMORY as a CPU writes it: stores that CPUs sent to the function before arrive before. Sleeps. A virtual
   * function ignores it.
   * {@link setMemoryEnabled} is the register alone, at once.
   */
  *writeMemoryEnabled(on: boolean): Op<void> {
    yield* this.#machine.functions.writeCommand(this.#fn, this.#fn.physfn === null ? { memory: on } : {});
  }

  /** Function level reset. @throws DmaBufError `EAGAIN`, `ENODEV` as {@link resetFunction} */
  *reset(): Op<void> {
    yield* resetFunction(this.#machine.functions, this.#fn);
  }

  get powerState(): PowerState {
    return this.#machine.functions.power(this.#fn);
  }

  setPowerState(to: PowerState): void {
    this.#machine.functions.setPower(this.#fn, to);
  }

  #bar(index: number): Bar | undefined {
    return this.#fn.bars.find((b) => b.index === index);
  }
}
