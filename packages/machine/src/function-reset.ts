/** Resets as Linux does them: wake, save, silence the function, reset, wait, restore. Each step is a schedule point. */
import { DmaBufError, type Op, point } from "@dma-buf/core";
import type { PciFunction } from "@dma-buf/pci";
import type { FunctionStates } from "./function-state.js";

const FLR = "reset.flr";

/**
 * Function level reset. Linux: `pci_try_reset_function()`. Addresses of BARs are the same afterwards: an old mapping
 * of a peer works again. The IOMMU blocks a function with ATS from before the reset until after the silence.
 * @throws DmaBufError `EAGAIN` somebody else is resetting it · `ENODEV` it was removed
 */
export function* resetFunction(states: FunctionStates, fn: PciFunction): Op<void> {
  yield* reset(states, "pci_try_reset_function", FLR, [fn]);
}

/**
 * Secondary bus reset: everything below `bridge`. Linux: `pci_reset_bus()`.
 * @throws DmaBufError as {@link resetFunction}, for any function below; then none was reset. `ENOTTY` no bridge
 */
export function* resetBus(states: FunctionStates, bridge: PciFunction): Op<void> {
  if (!bridge.bridge)
    throw refused("ENOTTY", "pci_reset_bus", bridge, "no bridge, so there is no bus below: reset the function");
  yield* reset(states, "pci_reset_bus", "reset.bus", states.below(bridge));
}

function* reset(states: FunctionStates, op: string, site: string, fns: readonly PciFunction[]): Op<void> {
  yield* point("reset.lock");
  for (const fn of fns) {
    const { removed, locked } = states.of(fn);
    if (removed) throw refused("ENODEV", op, fn, "it was removed: close it");
    if (locked) throw refused("EAGAIN", op, fn, "another reset holds the device lock: try again");
  }
  for (const fn of fns) states.of(fn).locked = true;
  try {
    yield* sequence(states, site, fns);
  } finally {
    // Whoever started it may be gone; the function comes out of reset all the same.
    for (const fn of fns) {
      Object.assign(states.of(fn), { locked: false, resetting: false });
      states.isolation?.unblock(fn);
    }
  }
}

function* sequence(states: FunctionStates, site: string, fns: readonly PciFunction[]): Op<void> {
  const saved: Saved[] = [];
  for (const fn of fns) {
    yield* point("reset.command");
    // Its registers are saved awake. Linux: `pci_dev_save_and_disable()`.
    if (states.power(fn) !== "D0") states.setPower(fn, "D0");
    saved.push(save(states, fn));
    states.setMemory(fn, false);
    states.setBusMaster(fn, false);
  }
  // A bus reset does not: the kernel blocks around the reset of a function alone.
  if (site === FLR) for (const fn of fns) if (hasAts(fn)) states.isolation?.block(fn);
  yield* point(site);
  for (const one of saved) {
    const { fn } = one;
    states.trace.emit("event", () => `${fn.address}: in reset`);
    states.of(fn).resetting = true;
    states.loseState(fn);
    one.resets = states.resets(fn);
  }
  yield* point("reset.silence");
  for (const fn of fns) {
    states.of(fn).resetting = false;
    states.isolation?.unblock(fn);
  }
  for (const one of saved) {
    yield* point("reset.restore");
    restore(states, one);
  }
}

/** What a reset takes from a function and the kernel gives back. */
interface Saved {
  readonly fn: PciFunction;
  readonly memory: boolean;
  readonly busMaster: boolean;
  readonly ats: boolean;
  /** How often it had lost its state by the end of this reset. */
  resets: number;
}

function save(states: FunctionStates, fn: PciFunction): Saved {
  const ats = states.isolation !== null && states.isolation.atcOf(fn) !== null;
  return { fn, memory: states.memory(fn), busMaster: states.busMaster(fn), ats, resets: states.resets(fn) };
}

/** Restores what is still there to be restored: pulled out, or gone without power meanwhile, a function stays as it is. */
function restore(states: FunctionStates, { fn, memory, busMaster, ats, resets }: Saved): void {
  if (states.deaf(fn) || states.resets(fn) !== resets) return;
  states.setMemory(fn, memory);
  states.setBusMaster(fn, busMaster);
  // The device forgot what it had cached. Linux: `pci_restore_ats_state()`.
  if (ats && !states.isolation?.atcOf(fn)) states.isolation?.enableAts(fn);
}

/** Only a device that could have cached translations needs to be kept apart while it forgets them. */
function hasAts({ ats }: PciFunction): boolean {
  return ats !== null && ats !== "unknown";
}

function refused(code: "EAGAIN" | "ENODEV" | "ENOTTY", op: string, fn: PciFunction, why: string): DmaBufError {
  const { address } = fn;
  return new DmaBufError(code, {
    op,
    stage: "cpu-access",
    message: `${address}: ${why}`,
    values: { function: address },
  });
}
