import { conformance } from "@dma-buf/conformance";
import { annotatedAddress, dmaAddress, linux73, pfn, pfnLocked, vma } from "@dma-buf/core";
import { describe, it } from "vitest";
import { vfioExporter as annotatedAddressExporter } from "./annotated-address.js";
import { vfioExporter as dmaAddressExporter } from "./dma-address.js";
import { vfioExporter as linux73Exporter } from "./linux-7.3.js";
import { vfioExporter as pfnLockedExporter } from "./pfn-locked.js";
import { vfioExporter as pfnExporter } from "./pfn.js";
import { subject } from "./testing.js";
import { vfioExporter as vmaExporter } from "./vma.js";

const runner = { describe, it };
conformance(runner, subject(dmaAddress, ["map", "revoke"], dmaAddressExporter));
conformance(runner, subject(vma, ["mmap", "revoke"], vmaExporter));
conformance(runner, subject(pfn, ["get_pfn", "revoke"], pfnExporter));
conformance(runner, subject(pfnLocked, ["get_pfn", "revoke"], pfnLockedExporter));
conformance(runner, subject(annotatedAddress, ["map", "revoke"], annotatedAddressExporter));
conformance(runner, subject(linux73, ["map", "revoke"], linux73Exporter));
