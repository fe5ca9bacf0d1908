/**
 * What a PCI function answers, and what it sends, in each of its states. The fabric asks when a request arrives, not
 * when it was sent: a write that was posted before decode went off is lost all the same.
 */
import { point, type Op, type Trace, until } from "@dma-buf/core";
import type { PciFunction, RouteEnd, Topology } from "@dma-buf/pci";
import { asCaptured, type FunctionState, type PowerState, type Refusal, unsupported } from "./function-registers.js";

/** Told when a function lost its state: its translation cache is empty, ATS is off, its queues are gone. */
export type ResetHook = (fn: PciFunction) => void;

/** The IOMMU's part in a reset: nothing of the function passes, it stays in its domain, and ATS comes back. */
export interface ResetIsolation {
  block(fn: PciFunction): void;
  unblock(fn: PciFunction): void;
  /** `null`: its ATS is off. */
  atcOf(fn: PciFunction): object | null;
  enableAts(fn: PciFunction): void;
}

/** The states of all functions of a machine. They begin as the topology has them, in D0, with links up. */
export class FunctionStates {
  readonly topology: Topology;
  readonly trace: Trace;
  /** `null`: there is no IOMMU that could. */
  isolation: ResetIsolation | null = null;
  readonly #states = new Map<string, FunctionState>();
  readonly #hooks: ResetHook[] = [];

  constructor(topology: Topology, trace: Trace) {
    this.topology = topology;
    this.trace = trace;
  }

  /** The hook runs in the step in which the function loses its state; it must not sleep. */
  onReset(hook: ResetHook): void {
    this.#hooks.push(hook);
  }

  /** COMMAND.MEMORY: does it claim what lies in its BARs? A bridge: does it forward down? */
  memory(fn: PciFunction): boolean {
    return this.of(fn).memory;
  }

  /** The register alone, at once and wherever it stands. {@link writeCommand} is what a CPU's configuration write does. */
  setMemory(fn: PciFunction, on: boolean): void {
    this.trace.emit("event", () => `${fn.address}: memory decode ${on ? "on" : "off"}`);
    this.of(fn).memory = on;
  }

  busMaster(fn: PciFunction): boolean {
    return this.of(fn).busMaster;
  }

  /** As {@link setMemory}. Off: it sends nothing, interrupts included, or forwards nothing up. What was sent arrives. */
  setBusMaster(fn: PciFunction, on: boolean): void {
    this.trace.emit("event", () => `${fn.address}: bus mastering ${on ? "on" : "off"}`);
    this.of(fn).busMaster = on;
  }

  power(fn: PciFunction): PowerState {
    return this.of(fn).power;
  }

  /** Without power, state is lost. D3hot keeps it, as with No_Soft_Reset. */
  setPower(fn: PciFunction, to: PowerState): void {
    this.trace.emit("event", () => `${fn.address}: ${to}`);
    this.of(fn).power = to;
    if (to === "D3cold") this.loseState(fn);
  }

  /**
   * A CPU's write to COMMAND. It is non-posted and pushes the CPUs' own stores to this function in front of it; those
   * of other devices know no such order. Sleeps until they have arrived. Where nobody takes it, it has no effect.
   */
  *writeCommand(fn: PciFunction, to: { readonly memory?: boolean; readonly busMaster?: boolean }): Op<void> {
    yield* point("config.write");
    const state = this.of(fn);
    yield* until(
      "config.posted",
      () => state.posted === 0,
      () => `${state.posted} stores to ${fn.address}`,
    );
    const lost = this.deaf(fn);
    if (lost) return this.trace.emit("event", () => `${fn.address}: a write to COMMAND is lost, ${lost}`);
    if (to.memory !== undefined) this.setMemory(fn, to.memory);
    if (to.busMaster !== undefined) this.setBusMaster(fn, to.busMaster);
  }

  /** The link below a port. What was behind it when it went down comes back without its state. */
  setLink(port: PciFunction, up: boolean): void {
    this.trace.emit("event", () => `${port.address}: link ${up ? "up" : "down"}`);
    this.of(port).linkUp = up;
    if (!up) for (const fn of this.below(port)) this.loseState(fn);
  }

  /** Surprise removal, of `fn` and everything below it: nobody was asked, and nothing was revoked. */
  unplug(fn: PciFunction): void {
    for (const gone of [fn, ...this.below(fn)]) {
      this.trace.emit("event", () => `${gone.address}: removed`);
      this.of(gone).removed = true;
      this.loseState(gone);
    }
  }

  /** Was it pulled out? Then the port above answers for it, and its link is down: that is seen. */
  isRemoved(fn: PciFunction): boolean {
    return this.of(fn).removed;
  }

  /** Why `fn` cannot send a request now; `null` if it can. */
  silence(fn: PciFunction): string | null {
    const { removed, resetting, power, busMaster } = this.of(fn);
    if (removed) return "it was removed";
    if (resetting) return "it is in reset";
    if (power !== "D0") return `it is in ${power}`;
    if (!busMaster) return "bus mastering is off";
    const port = this.topology.parentOf(fn);
    return port && this.#noWay(port);
  }

  /**
   * The port that stops a request of `fn` on its way up; `null` if none does.
   * @param to who takes it, where it goes sideways below a common port; `null`: it goes up to the root
   */
  stopUp(fn: PciFunction, to: PciFunction | null): (RouteEnd & { kind: "unsupported-request" }) | null {
    for (const port of this.#portsAbove(fn, to)) {
      const reason =
        this.#noWay(port) ?? (this.of(port).busMaster ? null : "bus mastering is off, it forwards nothing up");
      if (reason) return { kind: "unsupported-request", at: port.address, reason };
    }
    return null;
  }

  /** Why a configuration request does not get to `fn`; `null` if it is taken, as in D3hot. */
  deaf(fn: PciFunction): string | null {
    const { removed, resetting, power } = this.of(fn);
    if (removed) return "it was removed";
    if (resetting) return "it is in reset";
    if (power === "D3cold") return "it has no power";
    const port = this.#portsAbove(fn, null).find((p) => this.#noWay(p));
    return port ? this.#noWay(port) : null;
  }

  /**
   * Why a request that arrives now is not taken; `null` if `fn` decodes it.
   * @param from the sender, where the request was routed sideways below a common port; `null`: it comes from the root
   */
  refusal(fn: PciFunction, from: PciFunction | null): Refusal | null {
    for (const port of this.#portsAbove(fn, from)) {
      const why =
        this.#noWay(port) ?? (this.of(port).memory ? null : `${port.address} forwards no memory requests down`);
      if (why) return unsupported(why);
    }
    const { removed, resetting, power, memory } = this.of(fn);
    if (removed) return unsupported(`${fn.address} was removed, and the port above answers`);
    if (power === "D3cold") return unsupported(`${fn.address} has no power, and the port above answers`);
    if (resetting) return { answer: "completion-timeout", reason: `${fn.address} is in reset and silent` };
    if (power === "D3hot") return unsupported(`${fn.address} is in D3hot`);
    return memory ? null : unsupported(`${fn.address} does not decode memory`);
  }

  /** Of a request's sender: a completion for an earlier number of resets is dropped. */
  resets(fn: PciFunction): number {
    return this.of(fn).resets;
  }

  /** Everything below a bridge. */
  below(fn: PciFunction): readonly PciFunction[] {
    return this.topology.childrenOf(fn).flatMap((child) => [child, ...this.below(child)]);
  }

  /** What reset, loss of power and removal have in common: COMMAND is clear, and caches in the device are empty. */
  loseState(fn: PciFunction): void {
    const state = this.of(fn);
    state.memory = false;
    state.busMaster = false;
    state.resets++;
    for (const hook of this.#hooks) hook(fn);
  }

  /** @internal For the reset sequences and for stores on their way. */
  of(fn: PciFunction): FunctionState {
    let state = this.#states.get(fn.address);
    if (!state) this.#states.set(fn.address, (state = asCaptured(fn)));
    return state;
  }

  /** The ports above `fn`, from the lowest, that are not above `from` too: a request from there passes through them. */
  #portsAbove(fn: PciFunction, from: PciFunction | null): readonly PciFunction[] {
    const common = from ? this.topology.commonAncestor(fn, from) : null;
    const above = this.topology.pathToRoot(fn).slice(1);
    const end = common ? above.indexOf(common) : -1;
    return end < 0 ? above : above.slice(0, end);
  }

  /** Why nothing passes the link below a port, in either direction. */
  #noWay(port: PciFunction): string | null {
    const { linkUp, power } = this.of(port);
    if (!linkUp) return `the link below ${port.address} is down`;
    return power === "D0" ? null : `${port.address} is in ${power}, and its link is down`;
  }
}
