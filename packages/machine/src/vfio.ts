/** A function that is assigned through VFIO: what an exporter of its BARs needs of the machine. */
import type { Op, P2pProvider, PhysAddr } from "@dma-buf/core";
import type { Bar, PciFunction } from "@dma-buf/pci";
import { resetFunction } from "./function-reset.js";
import type { PowerState } from "./function-registers.js";
import type { Machine } from "./machine.js";

export class VfioPciDevice {
  readonly name: string;
  readonly #machine: Machine;
  readonly #fn: PciFunction;

  constructor(machine: Machine, address: string) {
    this.#machine = machine;
    this.#fn = machine.topology.get(address);
    this.name = address;
  }

  /** The memory BAR `index`, or `null` where there is none. */
  region(index: number): { readonly physical: PhysAddr; readonly sizeBytes: number } | null {
    const bar = this.#bar(index);
    return bar?.space === "memory" ? { physical: bar.base, sizeBytes: bar.sizeBytes } : null;
  }

  provider(index: number): P2pProvider | null {
    const bar = this.#bar(index);
    return bar ? this.#machine.provider(this.#fn, bar) : null;
  }

  get memoryEnabled(): boolean {
    return this.#machine.memoryDecode(this.#fn);
  }

  setMemoryEnabled(on: boolean): void {
    this.#machine.setMemoryDecode(this.#fn, on);
  }

  /**
   * COMMAND.MEMORY as a CPU writes it: stores that CPUs sent to the function before arrive before. Sleeps.
   * {@link setMemoryEnabled} is the register alone, at once.
   */
  *writeMemoryEnabled(on: boolean): Op<void> {
    yield* this.#machine.functions.writeCommand(this.#fn, { memory: on });
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
