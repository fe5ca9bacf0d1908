import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import { DmaBufError, type Gpa, type Op } from "@dma-buf/core";
import * as pageTable from "@dma-buf/page-table";
import * as api from "./index.js";
import { kvmImporter } from "./pfn.js";
import { rig } from "./testing/rig.js";

/** A VM with private memory on a machine. */
examples(join(import.meta.dirname, ".."), () => {
  const { fw: framework, scheduler, kvm, vm: host } = rig("pfn", { privateMemory: true, guestPages: 16 });
  const gpa = (at: number): Gpa => core.addr<Gpa>(at);
  function* caught(op: Op<unknown>): Op<DmaBufError | null> {
    try {
      yield* op;
    } catch (error) {
      if (error instanceof DmaBufError) return error;
      throw error;
    }
    return null;
  }
  return { ...core, ...pageTable, ...api, kvmImporter, framework, scheduler, host, kvm, gpa, caught };
});
