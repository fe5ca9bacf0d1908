/** A VM's memory ioctls on bytes, as a process calls them. Linux: `kvm_vm_ioctl()`, `kvm_vcpu_ioctl()`. */
import type { Op } from "@dma-buf/core";
import type { KvmImporter } from "./engine.js";
import { decode, type PreFaultMemory } from "./uapi.js";

/**
 * Runs `command`. Sleeps as the call of {@link KvmImporter} that it is.
 * @param user what lies at the argument's pointer, as far as it can be read; `null`: nothing can.
 * `PRE_FAULT_MEMORY` writes back what is left to do
 * @returns the new fd of `CREATE_GUEST_MEMFD`, else 0
 * @throws DmaBufError at stage `memslot`: `EIO` after `destroy()` · `ENOTTY` no such command · `EFAULT` the argument cannot be read; and as the call
 * @example
 * const user = new Uint8Array(64);
 * new DataView(user.buffer).setBigUint64(0, 0x1_0000n, true); // a file of 64 KiB
 * const fd = yield* kvmIoctl(kvm, KVM_IOCTL.CREATE_GUEST_MEMFD, user);
 */
export function* kvmIoctl(kvm: KvmImporter, command: number, user: Uint8Array | null): Op<number> {
  kvm.needLife("KVM");
  const asked = decode(command, user);
  switch (asked.kind) {
    case "region":
      yield* kvm.setUserMemoryRegion(asked.region, asked.version);
      return 0;
    case "attributes":
      yield* kvm.setMemoryAttributes(asked.request);
      return 0;
    case "create-guest-memfd":
      return kvm.createGuestMemfd(asked.request);
    case "pre-fault":
      writeBack(user as Uint8Array, asked.request, yield* kvm.preFaultMemory(asked.request));
      return 0;
  }
}

/** The next call goes on where this one ended. */
function writeBack(user: Uint8Array, { gpa, size }: PreFaultMemory, doneBytes: number): void {
  const view = new DataView(user.buffer, user.byteOffset);
  view.setBigUint64(0, gpa + BigInt(doneBytes), true);
  view.setBigUint64(8, size - BigInt(doneBytes), true);
}
