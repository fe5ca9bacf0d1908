/** A scenario as it would be on a calmer machine: what a verdict owes to the platform is what that changes. */
import type { Modifiers } from "./scenario/modifiers.js";
import type { Scenario, Step } from "./scenario/scenario.js";

/** Modifiers that are limits of the hardware. */
const LIMITS: readonly string[] = ["aperture", "dmaMask", "dmaWindow", "barAddress"];

/**
 * Without limits, without what the platform does on its own, with a kernel whose policy says of the root complex what the
 * hardware does.
 */
export function onCalmPlatform(scenario: Scenario): Scenario {
  const { topology } = scenario;
  const modifiers: Modifiers = Object.fromEntries(
    Object.entries(topology.modifiers).filter(([name]) => !LIMITS.includes(name)),
  );
  const { exporter } = scenario;
  const knowsAts = topology.modifiers.acsDirectTranslated === true;
  const forwards = topology.forwards === "unknown" ? topology.allowlisted : topology.forwards;
  return {
    ...scenario,
    exporter: knowsAts ? { ...exporter, options: { ...exporter.options, knowsAts } } : exporter,
    topology: { ...topology, modifiers, allowlisted: forwards, flush: "strict" },
    given: calmed(scenario.given),
    steps: calmed(scenario.steps),
  };
}

function calmed(steps: readonly Step[]): readonly Step[] {
  return steps.filter((step) => step.do !== "act" || step.actor !== "platform");
}
