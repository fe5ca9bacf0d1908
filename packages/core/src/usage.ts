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

/**
 * As debugfs writes it: `kernel`, `write`, `read`, `bookkeep`.
 * @example
 * usageName(Usage.BOOKKEEP); // "bookkeep"
 */
export function usageName(usage: Usage): string {
  return ["kernel", "write", "read", "bookkeep"][usage] as string;
}

/**
 * What must be waited for before reading, or writing: a writer waits for readers too. Linux: `dma_resv_usage_rw()`.
 * @example
 * [usageRw(true) === Usage.READ, usageRw(false) === Usage.WRITE]; // [true, true]
 */
export function usageRw(write: boolean): Usage {
  return write ? Usage.READ : Usage.WRITE;
}
