/** A device on a machine whose CPUs cache: does an access look into the caches, or past them? */
import type { AccessResult, Device, DmaAddr, BusAddr, Op } from "@dma-buf/core";
import type { Machine, MachineDevice } from "@dma-buf/machine";

/** @param snoops asked at each access */
export function snooping(machine: Machine, device: MachineDevice, snoops: () => boolean): Device {
  const { cpuCache } = machine;
  if (!cpuCache) return device;

  /** What the caches have of the pages that a read arrived at, since there were so many arrivals. */
  function cached(before: number): Uint8Array {
    const parts = machine.arrivals.slice(before).flatMap(({ physical, sizeBytes }) => {
      return physical === null ? [] : [...(cpuCache as NonNullable<typeof cpuCache>).snoop(physical, sizeBytes)];
    });
    return Uint8Array.from(parts);
  }

  return {
    name: device.name,
    dma: device.dma,
    get spaces() {
      return device.spaces;
    },
    write: (address: DmaAddr | BusAddr, bytes) => device.write(address, bytes),
    *read(address: DmaAddr | BusAddr, sizeBytes): Op<AccessResult> {
      const before = machine.arrivals.length;
      const result = yield* device.read(address, sizeBytes);
      return result.kind === "done" && snoops() ? { kind: "done", bytes: cached(before) } : result;
    },
  };
}
