/** One reset for several functions: all that share a bus or a slot. Linux: `vfio_pci_dev_set_hot_reset()`. */
import { EndSignal, type Op } from "@dma-buf/core";
import type { MemorySection, VfioExporter } from "./exporter.js";
import { refuse } from "./refuse.js";
import { needHotReset } from "./shape.js";

/** `VFIO_DEVICE_PCI_HOT_RESET`, for the functions that one bus reset would reach. */
export interface HotReset {
  /** All of them, in the order in which they are locked. */
  readonly set: readonly VfioExporter[];
  /** Has the caller shown that this one is its own? */
  isOwned(member: VfioExporter): boolean;
  /** Linux: `pci_reset_bus()`. */
  resetBus(): Op<void>;
}

/**
 * Revokes the buffers of every function of the set, resets the bus, and gives back per function what its memory allows.
 * Takes each `memory_lock` without waiting, as several would invite a deadlock. Where it refuses, what was revoked
 * before is given back. Where its task is ended while it waits for an importer, no reset came, and nobody is told that it
 * may ask again. Two at once: Linux has the second wait for the set's lock, here it is refused.
 * @throws DmaBufError `EBADF` none of the set is open · `EINVAL` none is named, one is named twice, or is not the
 * caller's · `EBUSY` somebody holds the `memory_lock` of one · what `resetBus` throws
 * @example
 * yield* hotReset({ set: [exporter], isOwned: () => true, *resetBus() {} });
 * exporter.ledger.registrations; // 0
 */
export function* hotReset(what: HotReset): Op<void> {
  needHotReset(what);
  const { set, isOwned, resetBus } = what;
  // Linux asks through the fd of one of them; another of the set may be closed.
  if (!set.some((member) => member.isOpen))
    refuse("EBADF", "fd", `the fd of ${set.map((member) => member.name).join(", ")} is closed: open one again`);
  const sections: MemorySection[] = [];
  let givesBack = false;
  try {
    for (const member of set) {
      if (!isOwned(member)) refuse("EINVAL", "cpu-access", `${member.name} is not the caller's: open it as well`);
      const section = member.tryLockMemory("hot reset");
      if (!section) return refuse("EBUSY", "cpu-access", `memory_lock of ${member.name} is held: try again`);
      sections.push(section);
      yield* section.revoke();
    }
    for (const section of sections) yield* section.wake();
    givesBack = true;
    yield* resetBus();
  } catch (error) {
    if (!(error instanceof EndSignal)) givesBack = true;
    throw error;
  } finally {
    yield* undo(sections, givesBack);
  }
}

/** The last first. Each gives its lock back, whatever an importer of another does. */
function* undo(sections: MemorySection[], givesBack: boolean): Op<void> {
  const last = sections.pop();
  if (!last) return;
  try {
    if (givesBack) yield* last.restore();
  } finally {
    try {
      yield* last.end();
    } finally {
      yield* undo(sections, givesBack);
    }
  }
}
