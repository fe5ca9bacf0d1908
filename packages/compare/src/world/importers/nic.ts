/** An RDMA NIC: on-demand paging, pinned, pinned and revocable, static. */
import type { MrKind, RdmaGuards, RdmaImporter, RdmaOptions } from "@dma-buf/importer-rdma";
import type { MachineDevice } from "@dma-buf/machine";
import * as v from "valibot";
import { bits } from "../../scenario/bits.js";
import { importerKind } from "../actor.js";
import type { Stage } from "../stage.js";
import { assignedNic } from "./assigned-nic.js";
import { DmaActs } from "./dma-acts.js";
import { queryHoldingReservation } from "./held-query.js";
import { nicActions } from "./nic-actions.js";
import { importArgs, Region } from "./region.js";
import { Type1 } from "./type1-container.js";

const KIND: Readonly<Record<string, MrKind>> = {
  faulting: "on-demand",
  pinned: "pinned",
  "pinned-revocable": "pinned-revocable",
  static: "static",
};

const kept = v.optional(v.boolean(), true);
const not = v.optional(v.boolean(), false);
const count = v.pipe(v.number("a number"), v.integer("a whole number"));
const fields = v.strictObject({
  // What keeps its driver right, to be taken out.
  /** Asks again when the memory went between the answer and the translation table. */
  retry: kept,
  /** Does what the invalidate asks for. */
  unmaps: kept,
  /** Unmaps before it detaches. */
  unmapsBeforeDetach: kept,
  /** Its device keeps what it cached when the translation goes, and writes by it. */
  writesLate: not,
  /** Its device keeps its key when the region is deregistered. */
  usesAfterDetach: not,
  /** PCI functions that do its DMA, and the one of them that reaches the exporter as a peer: it attaches with that. */
  functions: v.optional(v.pipe(count, v.minValue(1, "1 to 8"), v.maxValue(8, "1 to 8")), 1),
  reaches: v.optional(v.pipe(count, v.minValue(0, "0 or more")), 0),
  /** Asks the IOMMU for translations, and sends translated requests. */
  ats: not,
  /** The class of the best importer of its place; the posted one has `class`. @defaultValue `class` */
  best: v.optional(v.picklist(Object.keys(KIND))),
  /** Another importer: it attaches for that one's device, and uses what the exporter says of it. */
  usesAddressOf: v.optional(v.string()),
  /** An importer in whose IOMMU domain its device is, too. */
  sharesDomainOf: v.optional(v.string()),
  /** `32 bit`: the address bits that its device drives. @defaultValue the machine's */
  dmaMask: v.optional(bits),
  /** Who maps for it where buffers come as a CPU mapping: its driver, or vfio type1, if it is assigned. */
  byAddress: v.optional(v.picklist(["rdma", "type1"], "rdma or type1"), "rdma"),
});
const options = v.pipe(
  fields,
  v.forward(
    v.check(({ functions, reaches }) => reaches < functions, "one of its functions, counted from 0"),
    ["reaches"],
  ),
);

export const nic = importerKind({
  package: "@dma-buf/importer-rdma",
  options,
  namesImporter: ["usesAddressOf", "sharesDomainOf"],
  actions: nicActions,
  create(stage, taken, { name, class: cls = "faulting" }) {
    const { column, framework, machine, cast } = stage;
    const functions = functionsOf(stage, taken);
    const device = functions[taken.reaches] as MachineDevice;
    if (taken.sharesDomainOf) machine.attachDomain(device, machine.domainOf(stage.deviceOf(taken.sharesDomainOf)));
    if (taken.byAddress === "type1" && column.contract.policy.backing.includes("mmap"))
      return assignedNic(new DmaActs(stage, new Type1(stage, device, taken.retry)));
    const guards: Partial<RdmaGuards> = {
      retry: taken.retry,
      zap: taken.unmaps,
      // What it mapped by page frame is its own, and no call of the contract takes it back.
      unmap: taken.unmapsBeforeDetach && !(taken.usesAfterDetach && column.contract.policy.backing.includes("getPfn")),
      flush: !taken.writesLate,
      key: !taken.usesAfterDetach,
    };
    const asPosted = cast.importerAsPosted;
    const rdmaOver = (devices: readonly MachineDevice[], more: RdmaOptions = {}): RdmaImporter =>
      column.players.importers.rdma({ guards, asPosted, ...more })(framework, {
        functions: devices,
        memory: machine.memory,
      });
    const rdma = rdmaOver(functions);
    const { usesAddressOf: other } = taken;
    const misled = other && rdmaOver([...functions, stage.deviceOf(other)], { attachesFor: functions.length });
    const kind = KIND[asPosted ? cls : (taken.best ?? cls)] ?? "on-demand";
    // The code that was merged leaves it at that: the key is invalid for ever.
    const registersAgain = kind === "pinned-revocable" && !asPosted;
    const own = { name, kind, registersAgain, dmaDevice: taken.reaches };
    const besides = new Region(stage, { ...own, rdma });
    const region = new Region(stage, { ...own, rdma: misled || rdma });

    return {
      acts: {
        import: (args) => region.register(args),
        prefetch: () => region.prefetch(),
        "query-holding-reservation": ({ buffer }) => queryHoldingReservation(stage, device, stage.exported(buffer).buf),
        // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
        *"look-into-table"() {
          region.lookIntoTable();
        },
        "import-besides": ({ buffer }) => besides.register(v.parse(importArgs, { buffer })),
        "try-import": () => region.tryOut(v.parse(importArgs, {})),
        churn: ({ times }) => region.churn(v.parse(importArgs, {}), times),
        detach: () => region.deregister(),
        ...region.accesses(),
      },
      *close() {
        yield* region.deregister();
        yield* besides.deregister();
      },
    };
  },
});

/** The next functions of the scenario's topology. */
function functionsOf(
  stage: Stage,
  { functions, ats }: { readonly functions: number; readonly ats: boolean },
): readonly MachineDevice[] {
  const devices = Array.from({ length: functions }, () => stage.nextDevice());
  if (ats) for (const { fn } of devices) stage.machine.iommuUnit.enableAts(fn);
  return devices;
}
