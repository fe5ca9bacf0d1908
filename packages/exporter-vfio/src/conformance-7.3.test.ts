/** The kit, for the contracts over Linux 7.3. */
import { conformance } from "@dma-buf/conformance";
import { annotatedAddress, linux73, pfnLocked } from "@dma-buf/core";
import { describe, it } from "vitest";
import { vfioExporter as annotatedAddressExporter } from "./annotated-address.js";
import { vfioExporter as linux73Exporter } from "./linux-7.3.js";
import { vfioExporter as pfnLockedExporter } from "./pfn-locked.js";
import { subject } from "./testing.js";

const runner = { describe, it };
const options = { stepsMax: 300_000 };
conformance(runner, subject(pfnLocked, ["get_pfn", "revoke"], pfnLockedExporter), options);
conformance(runner, subject(annotatedAddress, ["map", "revoke"], annotatedAddressExporter), options);
conformance(runner, subject(linux73, ["map", "revoke"], linux73Exporter), options);
