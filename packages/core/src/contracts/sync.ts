/** The rules of reservation and fence, as data: the same in every contract. Linux 7.3.4. */
import type { Rule } from "../env.js";
import type { ErrnoName } from "./errno.js";

/** What is promised of one call on a reservation or a fence. */
export interface SyncRow extends Rule {
  /** What the call does, one sentence. */
  readonly does: string;
  /** The reservation when the call begins. */
  readonly resv: "held" | "free" | "either";
  readonly maySleep: boolean;
  /** What it may refuse with, and why. */
  readonly errors: Readonly<Partial<Record<ErrnoName, string>>>;
  /** What the kernel only warns about, or oopses on: a finding here. */
  readonly findings: readonly string[];
}

type Rest = Partial<Pick<SyncRow, "resv" | "maySleep" | "errors" | "findings">>;

function row(file: string, op: string, does: string, rest: Rest): SyncRow {
  const id = `sync/${op}`;
  const source = `Linux 7.3, ${file}`;
  const stage = file.endsWith("resv.c") ? "lock" : "fence";
  return { id, op, stage, source, does, resv: "either", maySleep: false, errors: {}, findings: [], ...rest };
}
const resv = (op: string, does: string, rest: Rest = {}): SyncRow => row("drivers/dma-buf/dma-resv.c", op, does, rest);
const fence = (op: string, does: string, rest: Rest = {}): SyncRow =>
  row("drivers/dma-buf/dma-fence.c", op, does, rest);

/** A call on a reservation or a fence that has a row. */
export type SyncCall =
  | "lock"
  | "lockSlow"
  | "ticket"
  | "reserveFences"
  | "addFence"
  | "replaceFences"
  | "forEach"
  | "copyFences"
  | "getFences"
  | "waitTimeout"
  | "fenceCallback"
  | "addCallback"
  | "signal"
  | "signalStrict"
  | "setError"
  | "wait"
  | "isLater"
  | "release"
  | "contextAlloc";

/**
 * One row a call, by the name it has here.
 * @example
 * Object.keys(syncRows.lock.errors); // ["EALREADY", "EDEADLK", "EINTR"]
 */
export const syncRows: Readonly<Record<SyncCall, SyncRow>> = {
  lock: resv("dma_resv_lock", "Takes the lock; with a ticket by wait-die: the younger of two that contend gives way.", {
    resv: "free",
    maySleep: true,
    errors: {
      EALREADY: "the ticket holds this lock already",
      EDEADLK: "the ticket holds other locks, and an older one holds this or waits for it",
      EINTR: "interruptible, and a signal is pending",
    },
    findings: ["the task holds the lock already, without a ticket: it waits for itself", "the ticket is done"],
  }),
  lockSlow: resv("dma_resv_lock_slow", "Takes the lock that answered EDEADLK, holding no other; never dies.", {
    resv: "free",
    maySleep: true,
    errors: { EINTR: "interruptible, and a signal is pending" },
    findings: ["the ticket still holds locks: this may deadlock", "not the lock that answered EDEADLK"],
  }),
  ticket: resv("ww_acquire_fini", "Ends a ticket.", { findings: ["it still holds locks"] }),
  reserveFences: resv("dma_resv_reserve_fences", "Makes room for n fences more than there are now; lost at unlock.", {
    resv: "held",
    errors: { EINVAL: "n is 0", ENOMEM: "no memory" },
    findings: ["n is 0", "the lock is not held"],
  }),
  addFence: resv(
    "dma_resv_add_fence",
    "Adds a fence, or replaces the first that is signalled or older and as strong.",
    {
      resv: "held",
      findings: ["nothing was reserved", "the fence is a container", "the lock is not held"],
    },
  ),
  replaceFences: resv("dma_resv_replace_fences", "Puts another fence into every slot of a context.", {
    resv: "held",
    findings: ["the lock is not held"],
  }),
  forEach: resv("dma_resv_for_each_fence", "Every fence of a usage or stronger, signalled ones too.", {
    resv: "held",
    findings: ["the lock is not held"],
  }),
  copyFences: resv("dma_resv_copy_fences", "Takes over the unsignalled fences of another reservation.", {
    resv: "held",
    errors: { ENOMEM: "no memory" },
    findings: ["the lock is not held"],
  }),
  getFences: resv("dma_resv_get_fences", "A snapshot of the unsignalled fences, each with a reference.", {
    errors: { ENOMEM: "no memory" },
  }),
  waitTimeout: resv("dma_resv_wait_timeout", "Waits for the fences of a usage or stronger, one after the other.", {
    maySleep: true,
    errors: { ERESTARTSYS: "interruptible, and a signal is pending" },
  }),
  fenceCallback: fence("dma_fence_func_t", "Runs when the fence signals, in the order of adding, under its lock.", {
    findings: ["it sleeps", "it takes the lock under which it is called"],
  }),
  addCallback: fence("dma_fence_add_callback", "Queues a callback and enables signalling.", {
    errors: { ENOENT: "signalled: the callback will not run", EINVAL: "no fence or no function" },
    findings: ["no function"],
  }),
  signal: fence("dma_fence_signal", "Signals, once; a second time is ignored (-EINVAL until Linux 6.17)."),
  signalStrict: fence("dma_fence_signal (6.17)", "As it was until Linux 6.17.", {
    errors: { EINVAL: "signalled already" },
  }),
  setError: fence("dma_fence_set_error", "Stores the error that the status tells after signalling.", {
    findings: ["signalled already: stored all the same", "not a negative errno: stored all the same"],
  }),
  wait: fence("dma_fence_wait_timeout", "Waits until it signals or time is up; tells the ticks that are left.", {
    maySleep: true,
    errors: { EINVAL: "negative timeout", ERESTARTSYS: "interruptible, and a signal is pending" },
    findings: ["negative timeout"],
  }),
  isLater: fence("dma_fence_is_later", "Which of two fences of one context is later.", {
    findings: ["the contexts differ"],
  }),
  release: fence("dma_fence_release", "The last reference is gone.", {
    findings: ["not signalled, and somebody waits: signalled with EDEADLK", "put more often than got"],
  }),
  contextAlloc: fence("dma_fence_context_alloc", "Consecutive contexts.", { findings: ["none was asked for"] }),
};
