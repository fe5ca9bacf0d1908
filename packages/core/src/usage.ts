/** Words and directions for what a fence in a reservation is for. */
import { Usage } from "./contracts/usage.js";

export { Usage };

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
