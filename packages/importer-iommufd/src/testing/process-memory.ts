/** Memory of a process in a test: arrays at addresses. */
import type { UserCopy } from "../user-copy.js";

export class ProcessMemory implements UserCopy {
  readonly #pieces: { readonly va: bigint; readonly bytes: Uint8Array }[] = [];

  /** Puts `bytes` at `va`. They stay the caller's own: what is written shows in them. */
  at(va: bigint, bytes: Uint8Array): bigint {
    this.#pieces.unshift({ va, bytes });
    return va;
  }

  copyFromUser(va: bigint, sizeBytes: number): Uint8Array | null {
    return this.#find(va, sizeBytes)?.slice() ?? null;
  }

  copyToUser(va: bigint, bytes: Uint8Array): boolean {
    const found = this.#find(va, bytes.length);
    found?.set(bytes);
    return found !== null;
  }

  #find(va: bigint, sizeBytes: number): Uint8Array | null {
    for (const piece of this.#pieces) {
      const from = va - piece.va;
      if (from >= 0n && from + BigInt(sizeBytes) <= BigInt(piece.bytes.length))
        return piece.bytes.subarray(Number(from), Number(from) + sizeBytes);
    }
    return null;
  }
}
