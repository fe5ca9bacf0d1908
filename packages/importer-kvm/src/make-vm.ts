/** One VM, put together. */
import type { Framework, Op } from "@dma-buf/core";
import { MemoryAttributes } from "./attributes.js";
import type { KvmHost } from "./host.js";
import { postedLevel, safeLevel } from "./level.js";
import type { Level } from "./lpage-info.js";
import { MmuInvalidate } from "./mmu.js";
import type { KvmOptions } from "./options.js";
import { SlotTable } from "./slots.js";
import { type Backings, sourceOf } from "./sources.js";
import { SlotReaders, type Vm } from "./vm.js";

export interface VmInit {
  readonly name: string;
  readonly fw: Framework;
  readonly host: KvmHost;
  readonly options: KvmOptions;
  /** The code as posted or merged? */
  readonly isPosted: boolean;
  /** That of the RFC? */
  readonly asPosted: boolean;
  readonly backings: () => Backings;
}

export function makeVm({ name, fw, host, options, isPosted, asPosted, backings }: VmInit): Vm {
  const { retry = true, retryInProgress = true, unsafeCheckOnly = false, flush = true, nxHugePages = false } = options;
  const { table, trustedIo } = host;
  const attributes = new MemoryAttributes();
  return {
    name,
    fw,
    host,
    table,
    attributes,
    mmu: new MmuInvalidate({ sequence: retry, inProgress: retry && retryInProgress }),
    slots: new SlotTable(),
    faulting: new SlotReaders(),
    options: {
      chooseLevel: asPosted ? postedLevel : safeLevel,
      checksUnderLock: !unsafeCheckOnly,
      nxHugePages,
    },
    maxLevel: maxLevelOf(table.format.leafSizesLog2),
    sourceOf: (slot, isPrivate) => sourceOf(backings(), slot, isPrivate),
    isPrivate: (gfn) => attributes.isPrivate(gfn),
    freeTables(tables) {
      for (const one of tables) host.tables.freeTable(one);
    },
    flush: flush ? () => host.flushTlb() : nothing,
    stopTrusted: isPosted || !trustedIo ? null : () => trustedIo.stop(),
  };
}

function* nothing(): Op<void> {}

function maxLevelOf(leafSizesLog2: readonly number[]): Level {
  if (leafSizesLog2.includes(30)) return 3;
  return leafSizesLog2.includes(21) ? 2 : 1;
}
