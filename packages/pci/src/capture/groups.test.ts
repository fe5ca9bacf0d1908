import { describe, expect, it } from "vitest";
import { iommuGroups } from "../iommu-group.js";
import { parseCapture } from "../node.js";
import { topologyOf } from "../topology.js";
import { machine } from "./testing.js";

describe("groups by the kernel's rule against those it formed", () => {
  /** Groups by the rule that the host has not. */
  const others = (name: string): string[] => {
    const topology = topologyOf(parseCapture(machine(name), name));
    const captured = new Map<number, string[]>();
    for (const { address, iommuGroup } of topology.functions)
      if (iommuGroup !== null) captured.set(iommuGroup, [...(captured.get(iommuGroup) ?? []), address]);
    const ruled = iommuGroups(topology).map((group) => group.map((fn) => fn.address));
    const formed = [...captured.values()].map((group) => group.join(" "));
    return ruled.map((group) => group.join(" ")).filter((group) => !formed.includes(group));
  };
  it("all 27 of one laptop", () => expect(others("laptop-nvidia-optane.lspci.txt")).toEqual([]));

  // A quirk: an endpoint of Intel's that is integrated with PCI Express, 14.3, counts as isolated.
  it("all but one of another, which a quirk of the kernel splits", () =>
    expect(others("laptop-rtx3070ti-hex.lspci.txt")).toEqual(["0000:00:14.0 0000:00:14.2 0000:00:14.3"]));
});
