/** A driver from outside the tree, which gets at the pages of a buffer although no importer may. */
import {
  addr,
  type Contract,
  type DmaBufAttachment,
  type Framework,
  type Op,
  PAGE_SIZE,
  type Pfn,
  physOf,
  type Rule,
  type SgTable,
} from "@dma-buf/core";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { importerKind, NotApplicable } from "../actor.js";

const actions = {
  /** Attaches, and maps where there is a table to map. */
  import: v.strictObject({ buffer: v.optional(v.string(), "buffer") }),
  /** Reads bytes of the first page by its `struct page`. */
  "use-page": v.strictObject({ bytes: v.optional(size, 64) }),
};

const deref: Rule = {
  id: "struct-page",
  op: "sg_page",
  stage: "map",
  source: "Linux 7.3, drivers/dma-buf/dma-buf.c: dma_buf_wrap_sg_table(); include/linux/mm.h: page_to_virt()",
};

/** It works, and is forbidden: nobody but a finding tells. */
function report({ env }: Framework, { rows, policy }: Contract): void {
  const row = policy.backing.map((call) => rows[call]).find((found) => found !== undefined);
  const { id, stage, source } = row ?? deref;
  env.report("violation", { id, op: "sg_page", stage, source }, "importer", "the page behind an address is used");
}

export const outOfTree = importerKind({
  package: null,
  /** What it does that no importer may; there is one such thing yet. */
  options: v.strictObject({ abuses: v.literal("sg_page", "sg_page") }),
  actions,
  create(stage, _options, { name, class: cls }) {
    const { framework, machine, judge, column } = stage;
    const { contract } = column;
    const device = stage.nextDevice();
    const ops = cls === "static" ? null : { allowPeer2peer: true, *invalidateMappings() {} };
    let imported = "buffer";
    let at: DmaBufAttachment | null = null;
    let table: SgTable | null = null;

    /** The frame whose page it takes; `null`: the pointer is NULL. */
    function* frame(attachment: DmaBufAttachment): Op<Pfn | null> {
      if (!contract.policy.backing.includes("getPfn")) return table?.pages?.[0] ?? null;
      const window = yield* contract.open(framework, attachment, "bidirectional");
      using held = window.resv === "held" ? yield* attachment.buf.resv.lock() : null;
      const [run] = yield* window.runs(0, PAGE_SIZE, held);
      return run ? addr<Pfn>(run.address / PAGE_SIZE) : null;
    }

    /** An oops where there is no page, and what is read through it says nothing of whose it is. */
    function oops(pfn: Pfn | null): never {
      const what = pfn === null ? "the page pointer is NULL" : `frame ${pfn} is no RAM and has no struct page`;
      return framework.env.bug(deref, "importer", `${name} follows it: ${what}`);
    }

    return {
      acts: {
        *import({ buffer }) {
          const { backing } = contract.policy;
          if (backing.every((call) => call === "mmap"))
            throw new NotApplicable("there is no table to take pages out of");
          const { buf } = stage.exported(buffer);
          imported = buffer;
          at = yield* framework.dynamicAttach(buf, device, { name, ops });
          if (!backing.includes("getPfn")) table = yield* framework.mapAttachmentUnlocked(at, "bidirectional");
          // Addresses that say their space come alone: there is no table with a page behind each.
          const shown = [...(table?.runs ?? [])];
          if (shown.some((run) => run.kind !== "dma")) throw new NotApplicable("there is no page beside the address");
        },
        *"use-page"({ bytes }) {
          if (!at) throw new NotApplicable(`${name} has imported nothing`);
          const pfn = yield* frame(at);
          if (pfn === null || !machine.memory.isRam(physOf(pfn))) return oops(pfn);
          report(framework, contract);
          const { content } = stage.exported(imported);
          const met = { content, offset: 0, isTaken: stage.isExcused, via: `struct page of frame ${pfn}` };
          const read = { kind: "done", bytes: machine.memory.read(physOf(pfn), bytes) } as const;
          judge.access(name, "read", read, { ...met, bytes: content.read(0, bytes) });
        },
      },
      *close() {
        if (at && table) yield* framework.unmapAttachmentUnlocked(at, table, "bidirectional");
        if (at) yield* framework.detachAttachment(at.buf, at);
        [at, table] = [null, null];
      },
    };
  },
});
