/** Memory of the process that calls, as far as pointers in an argument lead into it. */

/** What the kernel's functions of these names reach; neither does half of it. */
export interface UserCopy {
  /** @returns null: not all of it can be read */
  copyFromUser(va: bigint, sizeBytes: number): Uint8Array | null;
  /** @returns false: not all of it can be written */
  copyToUser(va: bigint, bytes: Uint8Array): boolean;
}
