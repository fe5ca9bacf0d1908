/** Resets as Linux does them: save, silence the function, reset, wait, restore. Each step is a schedule point. */
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
  const saved = fns.map((fn) => [fn, states.memory(fn), states.busMaster(fn)] as const);
  for (const fn of fns) {
    yield* point("reset.command");
    states.setMemory(fn, false);
    states.setBusMaster(fn, false);
  }
  // A bus reset does not: the kernel blocks around the reset of a function alone.
  if (site === FLR) for (const fn of fns) if (hasAts(fn)) states.isolation?.block(fn);
  yield* point(site);
  for (const fn of fns) {
    states.trace.emit("event", () => `${fn.address}: in reset`);
    states.of(fn).resetting = true;
    states.loseState(fn);
  }
  yield* point("reset.silence");
  for (const fn of fns) {
    states.of(fn).resetting = false;
    states.isolation?.unblock(fn);
  }
  for (const [fn, memory, busMaster] of saved) {
    yield* point("reset.restore");
    // What was pulled out in the meantime has no registers to restore.
    if (states.of(fn).removed) continue;
    states.setMemory(fn, memory);
    states.setBusMaster(fn, busMaster);
  }
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
