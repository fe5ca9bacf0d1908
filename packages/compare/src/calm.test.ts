import { expect, it } from "vitest";
import { onCalmPlatform } from "./calm.js";
import type { Scenario } from "./scenario/scenario.js";
import { scenario } from "./world/testing.js";

const known = scenario("S01a");
const calmed = (topology: Partial<Scenario["topology"]>): Scenario =>
  onCalmPlatform({ ...known, topology: { ...known.topology, ...topology } });

it("flushes at once, and has no limits of the hardware; all else is as it was", () => {
  const limits = { aperture: 48, dmaMask: 32, dmaWindow: 1, barAddress: 1 } as const;
  const { topology } = calmed({ flush: "lazy", modifiers: { ...limits, vm: "TDX" } });
  expect([topology.flush, topology.modifiers]).toEqual(["strict", { vm: "TDX" }]);
});

it.each([
  ["yes", "no", "yes"],
  ["no", "yes", "no"],
  ["unknown", "no", "no"],
  ["unknown", "yes", "yes"],
] as const)(
  "where a root complex forwards: %s, and the kernel allows it: %s, the kernel says %s",
  (forwards, was, is) => {
    expect(calmed({ forwards, allowlisted: was }).topology).toMatchObject({ forwards, allowlisted: is });
  },
);

it("tells the exporter that translated requests go straight through, where they do", () => {
  expect(calmed({ modifiers: { acsDirectTranslated: true } }).exporter.options).toMatchObject({ knowsAts: true });
  expect(calmed({}).exporter).toBe(known.exporter);
});

it("does nothing of its own", () => {
  const { steps } = known;
  const unplug = { do: "act", actor: "platform", action: "unplug", args: {} } as unknown as Scenario["steps"][number];
  const calm = onCalmPlatform({ ...known, given: [unplug, ...known.given], steps: [...steps, unplug] });
  expect([calm.given, calm.steps]).toEqual([known.given, steps]);
});
