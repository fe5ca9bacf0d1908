/** The kit, for the contracts over Linux 6.13. */
import { conformance } from "@dma-buf/conformance";
import { describe, it } from "vitest";
import { subject } from "./testing/kit.js";

for (const id of ["dma-address", "vma", "pfn"] as const)
  conformance({ describe, it }, subject(id), { stepsMax: 200_000 });
