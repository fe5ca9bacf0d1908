/** A V4L2 device: attached once and for all, without operations that could tell it that its memory goes. */
import * as v from "valibot";
import { accessActions } from "../access.js";
import { importerKind } from "../actor.js";
import { importArgs, Region } from "./region.js";

const actions = { import: importArgs, ...accessActions };

/** Played by a region of the same kind: of the device, only that it does DMA matters here. */
export const v4l2 = importerKind({
  package: "@dma-buf/importer-rdma",
  options: v.strictObject({}),
  actions,
  create(stage, _options, { name }) {
    const { column, framework, machine } = stage;
    const host = { functions: [stage.nextDevice()], memory: machine.memory };
    const rdma = column.players.importers.rdma()(framework, host);
    const region = new Region(stage, { name, rdma, kind: "static" });
    return {
      acts: { import: (args) => region.register(args), ...region.accesses() },
      close: () => region.deregister(),
    };
  },
});
