/** The kit, for the contracts over Linux 6.13. */
import { conformance } from "@dma-buf/conformance";
import { dmaAddress, pfn, vma } from "@dma-buf/core";
import { describe, it } from "vitest";
import { vfioExporter as dmaAddressExporter } from "./dma-address.js";
import { vfioExporter as pfnExporter } from "./pfn.js";
import { subject } from "./testing.js";
import { vfioExporter as vmaExporter } from "./vma.js";

const runner = { describe, it };
const options = { stepsMax: 300_000 };
conformance(runner, subject(dmaAddress, ["map", "revoke"], dmaAddressExporter), options);
conformance(runner, subject(vma, ["mmap", "revoke"], vmaExporter), options);
conformance(runner, subject(pfn, ["get_pfn", "revoke"], pfnExporter), options);
