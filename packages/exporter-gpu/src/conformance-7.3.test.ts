/** The kit, for the contracts over Linux 7.3. */
import { conformance } from "@dma-buf/conformance";
import { describe, it } from "vitest";
import { subject } from "./testing/kit.js";

for (const id of ["linux-7.3", "annotated-address", "pfn-locked"] as const)
  conformance({ describe, it }, subject(id), { stepsMax: 200_000 });
