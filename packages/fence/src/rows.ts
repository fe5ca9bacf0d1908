/** The rules of fence containers and sync files, as data. Linux 7.3.4. */
import type { SyncRow } from "@dma-buf/core";

/** A call that has a row. */
export type FenceCall =
  | "createArray"
  | "createChain"
  | "findSeqno"
  | "merge"
  | "later"
  | "waitAny"
  | "getSingleton"
  | "syncMerge"
  | "syncInfo"
  | "syncDeadline"
  | "exportSyncFile"
  | "importSyncFile";

function row(file: string, op: string, does: string, rest: Partial<SyncRow> = {}): SyncRow {
  const source = `Linux 7.3, drivers/dma-buf/${file}`;
  const id = `fence/${op}`;
  return { id, op, stage: "fence", source, does, resv: "either", maySleep: false, errors: {}, findings: [], ...rest };
}

/**
 * One row a call.
 * @example
 * Object.keys(fenceRows.syncMerge.errors); // ["EINVAL", "ENOENT", "ENOMEM", "EMFILE"]
 */
export const fenceRows: Readonly<Record<FenceCall, SyncRow>> = {
  createArray: row("dma-fence-array.c", "dma_fence_array_create", "A fence that signals when all of several did.", {
    findings: ["no members", "a member is a container"],
  }),
  createChain: row("dma-fence-chain.c", "dma_fence_chain_init", "A point of a timeline: a fence, and all before it.", {
    findings: ["the contained fence is a chain"],
  }),
  findSeqno: row("dma-fence-chain.c", "dma_fence_chain_find_seqno", "The node that must signal for a point.", {
    errors: { EINVAL: "not a chain, or the point is not there yet" },
  }),
  merge: row("dma-fence-unwrap.c", "dma_fence_unwrap_merge", "One fence for many: the newest of each context.", {
    errors: { ENOMEM: "no memory" },
  }),
  later: row("dma-fence.c", "dma_fence_later", "The later of two of one context, if it is not done.", {
    findings: ["the contexts differ"],
  }),
  waitAny: row("dma-fence.c", "dma_fence_wait_any_timeout", "Waits until one of several signals.", {
    maySleep: true,
    errors: {
      EINVAL: "no fences, or a negative timeout",
      ENOMEM: "no memory",
      ERESTARTSYS: "interruptible, and a signal is pending",
    },
    findings: ["no fences, or a negative timeout"],
  }),
  getSingleton: row("dma-resv.c", "dma_resv_get_singleton", "One fence for all of a usage or stronger.", {
    errors: { ENOMEM: "no memory" },
  }),
  syncMerge: row("sync_file.c", "SYNC_IOC_MERGE", "A sync file for the fences of two.", {
    errors: {
      EINVAL: "flags or pad are not 0",
      ENOENT: "the other fd is no sync file",
      ENOMEM: "no memory",
      EMFILE: "the file table is full",
    },
  }),
  syncInfo: row("sync_file.c", "SYNC_IOC_FILE_INFO", "The status of each fence.", {
    errors: { EINVAL: "flags or pad are not 0, or room for too few" },
  }),
  syncDeadline: row("sync_file.c", "SYNC_IOC_SET_DEADLINE", "A hint by when it is needed.", {
    errors: { EINVAL: "pad is not 0" },
  }),
  exportSyncFile: row(
    "dma-buf.c",
    "DMA_BUF_IOCTL_EXPORT_SYNC_FILE",
    "A sync file for what a reader or a writer must wait for.",
    {
      errors: {
        EFAULT: "the argument cannot be read",
        EINVAL: "flags are neither READ (1) nor WRITE (2) nor both",
        EMFILE: "the file table is full",
        ENOMEM: "no memory",
      },
    },
  ),
  importSyncFile: row(
    "dma-buf.c",
    "DMA_BUF_IOCTL_IMPORT_SYNC_FILE",
    "Adds the fences of a sync file, as a reader's or a writer's.",
    {
      resv: "free",
      maySleep: true,
      errors: {
        EFAULT: "the argument cannot be read",
        EINVAL: "flags are neither READ (1) nor WRITE (2) nor both, or the fd is no sync file",
        ENOMEM: "no memory",
      },
    },
  ),
};
