/** The machine as an actor: what happens to it that no driver does. */
import type { Acts } from "./actor.js";
import type { platformActions } from "./kinds.js";
import type { Stage } from "./stage.js";

export function platform({ machine }: Stage): Acts<typeof platformActions> {
  return {
    // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
    *"flush-queue-timer"() {
      machine.flushQueueTimer();
    },
  };
}
