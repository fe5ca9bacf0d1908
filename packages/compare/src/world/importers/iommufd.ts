/** iommufd, with a VMM that maps buffers into an IOAS and a device of the IOAS that does DMA. */
import type { Op } from "@dma-buf/core";
import * as v from "valibot";
import { accessActions } from "../access.js";
import { importerKind, NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";
import { DmaActs, importArgs } from "./dma-acts.js";
import { lookIntoTable } from "./io-table.js";
import { ioasMapper, type IoasMapper } from "./ioas.js";
import { movedBarActions, movedBarActs } from "./moved-bar.js";
import { Type1 } from "./type1-container.js";

const options = v.strictObject({
  /** Who maps where buffers come as a CPU mapping of the process: the VMM has the choice there. */
  byAddress: v.optional(v.picklist(["iommufd", "type1"]), "iommufd"),
  /** Does the device attach before the buffer is mapped, so that the exporter looks for a route? */
  asksRoute: v.optional(v.boolean(), false),
});

const actions = {
  /** `IOMMU_IOAS_MAP_FILE` of the buffer. */
  import: importArgs,
  /** The first half of it: the buffer is attached. */
  attach: v.strictObject({}),
  /** The second half. */
  map: v.strictObject({}),
  /** `IOMMU_IOAS_MAP` of a page of the process. */
  "map-user-page": v.strictObject({}),
  /** `IOMMU_IOAS_UNMAP` of what was imported last. */
  unmap: v.strictObject({}),
  /** Asks again for what was taken away. Nothing in Linux does. */
  revalidate: v.strictObject({}),
  /** Are the leaves as large as they can be, and gone once the memory was taken away? */
  "look-into-table": v.strictObject({}),
  ...movedBarActions,
  ...accessActions,
};

/** All of what was exported first. */
const WHOLE = v.parse(importArgs, {});

export const iommufd = importerKind({
  package: "@dma-buf/importer-iommufd",
  options,
  actions,
  create(stage, { byAddress, asksRoute }) {
    const device = stage.nextDevice();
    const isType1 = byAddress === "type1" && stage.column.contract.policy.backing.includes("mmap");
    const ioas = isType1 ? null : ioasMapper(stage, device);
    const dma = new DmaActs(stage, ioas ?? new Type1(stage, device));
    const byFd = (): IoasMapper => {
      if (!ioas) throw new NotApplicable("type1 maps by address alone");
      return ioas;
    };
    return {
      acts: {
        *import(what) {
          if (asksRoute) yield* askForRoute(stage, dma, what.buffer);
          yield* dma.import(what);
        },
        attach: () => byFd().attachBuffer(stage.exported(WHOLE.buffer).buf),
        map: () => byFd().mapAttached(dma.place(WHOLE)),
        "map-user-page": () => byFd().mapUserPage(),
        unmap: () => dma.mapper.unmap(dma.range),
        revalidate: () => byFd().revalidate(),
        // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
        *"look-into-table"() {
          lookIntoTable(stage, dma);
        },
        ...movedBarActs(stage, dma),
        ...dma.access,
      },
      close: () => dma.mapper.close(),
    };
  },
});

/** The device itself attaches, and leaves again: whether it has a way to the buffer is asked of the exporter alone. */
function* askForRoute(stage: Stage, { mapper }: DmaActs, buffer: string): Op<void> {
  const { framework } = stage;
  const { buf } = stage.exported(buffer);
  const ops = { allowPeer2peer: true, *invalidateMappings() {} };
  const at = yield* framework.dynamicAttach(buf, mapper.device, { name: mapper.name, ops });
  yield* framework.detachAttachment(buf, at);
}
