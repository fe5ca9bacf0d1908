/**
 * What a fence in a reservation is for. Asking for one gives it and every stronger one: those with a smaller number.
 * Linux: `enum dma_resv_usage`.
 * @example
 * Usage.KERNEL < Usage.WRITE; // true
 */
export const Usage = {
  /** Memory management: moves, clears. Before any access. */
  KERNEL: 0,
  /** Implicit sync, a writer. */
  WRITE: 1,
  /** Implicit sync, a reader. */
  READ: 2,
  /** Everything else: TLB flushes, explicit sync. Before the backing is given up. */
  BOOKKEEP: 3,
} as const;
export type Usage = (typeof Usage)[keyof typeof Usage];
