/** An RDMA NIC: on-demand paging, pinned, pinned and revocable, static. */
import type { MemoryRegion, MrKind, RdmaOptions } from "@dma-buf/importer-rdma";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { accessActions, accessActs } from "../access.js";
import { importerKind, NotApplicable } from "../actor.js";

const KIND: Readonly<Record<string, MrKind>> = {
  faulting: "on-demand",
  pinned: "pinned",
  "pinned-revocable": "pinned-revocable",
  static: "static",
};

const options = v.objectWithRest({ retry: v.optional(v.boolean(), true) }, v.unknown());
const actions = {
  /** Registers a memory region over the buffer. Without `prefetch` an on-demand one is mapped at its first access. */
  import: v.strictObject({ buffer: v.optional(v.string(), "buffer"), offset: v.optional(size, 0), bytes: v.optional(size), prefetch: v.optional(v.boolean(), true) }),
  prefetch: v.strictObject({}),
  ...accessActions,
};

export const nic = importerKind({
  package: "@dma-buf/importer-rdma",
  options,
  actions,
  create(stage, { retry }, spec) {
    const { column, framework, machine } = stage;
    const device = stage.nextDevice();
    const rdmaOptions: RdmaOptions = { guards: { retry } };
    const rdma = column.players.importers.rdma(rdmaOptions)(framework, { functions: [device], memory: machine.memory });
    const kind = KIND[spec.class ?? "faulting"] ?? "on-demand";
    let region: { readonly mr: MemoryRegion; readonly buffer: string } | null = null;
    const mr = (): MemoryRegion => {
      if (!region) throw new NotApplicable(`${spec.name} has imported nothing`);
      return region.mr;
    };
    return {
      acts: {
        *import({ buffer, offset, bytes, prefetch }) {
          const { buf } = stage.exported(buffer);
          const sizeBytes = bytes ?? buf.sizeBytes - offset;
          region = { mr: yield* rdma.regMr({ buf, kind, offset, sizeBytes, prefetch }), buffer };
        },
        prefetch: () => rdma.prefetch(mr()),
        ...accessActs(stage, {
          name: `${rdma.name}`,
          buffer: () => region?.buffer ?? "buffer",
          write: (iova, bytes) => rdma.write({ key: mr().rkey, iova }, bytes),
          read: (iova, sizeBytes) => rdma.read({ key: mr().rkey, iova }, sizeBytes),
          via: (offset) => `address ${mr().reaches(offset) ?? "none"}`,
        }),
      },
      *close() {
        if (region) yield* rdma.deregMr(region.mr);
        region = null;
      },
    };
  },
});
