/** The kit, in every variant; and what brings no callback, where that is allowed. */
import { conformance, type ImporterSubject } from "@dma-buf/conformance";
import { annotatedAddress, type Contract, dmaAddress, linux73, pfn, pfnLocked, vma } from "@dma-buf/core";
import { describe, it } from "vitest";
import { rdmaImporter as annotatedAddressImporter } from "./annotated-address.js";
import { rdmaImporter as dmaAddressImporter } from "./dma-address.js";
import type { MemoryRegion } from "./importer.js";
import { rdmaImporter as linux73Importer } from "./linux-7.3.js";
import { rdmaImporter as pfnImporter } from "./pfn.js";
import { rdmaImporter as pfnLockedImporter } from "./pfn-locked.js";
import type { MrKind } from "./request.js";
import type { RdmaFactory } from "./variant.js";
import { rdmaImporter as vmaImporter } from "./vma.js";

const runner = { describe, it };
const ALL: ImporterSubject["capabilities"] = ["invalidate", "peer2peer"];

/** Registered at attach and, if it can fault, mapped at use. */
function subject(
  contract: Contract,
  factory: RdmaFactory,
  more: Partial<ImporterSubject> & { mrKind?: MrKind } = {},
): ImporterSubject {
  const { mrKind: kind = "on-demand", ...rest } = more;
  return {
    kind: "importer",
    name: kind === "on-demand" ? "rdma" : `rdma, ${kind},`,
    contract,
    capabilities: ALL,
    ...rest,
    create(framework, host) {
      const rdma = factory()(framework, { functions: [host.device], memory: { isRam: () => false } });
      let mr: MemoryRegion | null = null;
      return {
        *attach(buf) {
          mr = yield* rdma.regMr({ buf, kind, offset: 0, sizeBytes: buf.sizeBytes, prefetch: false });
        },
        *use() {
          if (kind === "on-demand") yield* rdma.prefetch(mr as MemoryRegion);
        },
        holds: () => rdma.ledger.segments,
        reaches: (offset) => mr?.reaches(offset) ?? null,
        *detach() {
          if (mr) yield* rdma.deregMr(mr);
        },
      };
    },
  };
}

conformance(runner, subject(dmaAddress, dmaAddressImporter));
conformance(runner, subject(linux73, linux73Importer));
conformance(runner, subject(pfn, pfnImporter));
conformance(runner, subject(pfnLocked, pfnLockedImporter));
conformance(runner, subject(annotatedAddress, annotatedAddressImporter));
conformance(runner, subject(vma, vmaImporter, { refuses: { code: "EFAULT", stage: "map" } }));
conformance(runner, subject(linux73, linux73Importer, { mrKind: "pinned", capabilities: ["peer2peer"] }));
conformance(runner, subject(linux73, linux73Importer, { mrKind: "static", capabilities: [] }));
