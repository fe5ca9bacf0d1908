/** Every contract that comes with core, the kernel's first. */
import type { Contract } from "../contract.js";
import { annotatedAddress } from "./annotated-address.js";
import { dmaAddress } from "./dma-address.js";
import { linux73 } from "./linux-7.3.js";
import { pfn } from "./pfn.js";
import { pfnLocked } from "./pfn-locked.js";
import { vma } from "./vma.js";

/**
 * In the order in which they came up: 6.13 and what was set against it, then 7.3.
 * @example
 * contracts.map((c) => c.id);
 * contracts.filter((c) => c.rows.getPfn).map((c) => c.id); // ["pfn", "pfn-locked"]
 */
export const contracts: readonly Contract[] = [dmaAddress, vma, pfn, pfnLocked, annotatedAddress, linux73];
