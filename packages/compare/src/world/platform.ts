/** The machine as an actor: what happens to it that no driver does. */
import type { PciFunction } from "@dma-buf/pci";
import type { Acts } from "./actor.js";
import type { platformActions } from "./kinds.js";
import type { Stage } from "./stage.js";

export function platform({ machine, binding }: Stage): Acts<typeof platformActions> {
  return {
    // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
    *"flush-queue-timer"() {
      machine.flushQueueTimer();
    },
    // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
    *"acs-redirect"() {
      const [device] = binding.devices as readonly [string];
      const port = machine.topology.parentOf(machine.topology.get(device));
      machine.setAcs((port as PciFunction).address, { ReqRedir: true });
    },
    // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
    *unplug() {
      machine.functions.unplug(machine.topology.get(binding.exporter));
    },
  };
}
