/** The columns that come with this package, in order. */
import type { Column } from "../column.js";
import { column as annotatedAddress } from "./annotated-address.js";
import { column as dmaAddress } from "./dma-address.js";
import { column as linux73 } from "./linux-7.3.js";
import { column as pfn } from "./pfn.js";
import { column as pfnLocked } from "./pfn-locked.js";
import { column as vma } from "./vma.js";

export const columns: readonly Column[] = [dmaAddress, vma, pfn, pfnLocked, annotatedAddress, linux73];
