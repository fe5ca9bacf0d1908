/** Major and minor: what rules of the kernel changed by. */
export type KernelVersion = readonly [major: number, minor: number];

/** The kernel whose rules are used where a capture does not name one. */
export const LATEST_KERNEL: KernelVersion = [7, 3];

/**
 * Major and minor of `uname -r`, of any distribution; `null` where it begins like none.
 * @example
 * kernelVersion("6.8.0-45-generic"); // [6, 8]
 */
export function kernelVersion(release: string): KernelVersion | null {
  const found = /^v?(\d{1,2})\.(\d{1,3})(?!\d)/.exec(release.trim());
  return found ? [Number(found[1]), Number(found[2])] : null;
}

export function isBefore([major, minor]: KernelVersion, other: KernelVersion): boolean {
  return major < other[0] || (major === other[0] && minor < other[1]);
}
