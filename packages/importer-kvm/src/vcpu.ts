/** `KVM_RUN`: a vCPU's access until it is through, with the exits in between that KVM handles itself. */
import { addr, type Gpa, type Op, PAGE_SIZE } from "@dma-buf/core";
import type { GuestAccessKind, RunResult } from "./exits.js";
import { tdpFault } from "./fault.js";
import type { GuestAccess, KvmVcpuHost } from "./host.js";
import type { Vm } from "./vm.js";

/** How a vCPU comes to its memory. */
export interface VcpuOptions {
  /** Which one. @defaultValue 0 */
  readonly vcpu?: number;
  /**
   * In which view: the bit of the address, or of the guest's page table, by which the platform tells private from shared.
   * @defaultValue the one that the frame has
   */
  readonly view?: "private" | "shared";
}

/** One access. `what`: bytes to store, or how many to load. */
export interface VcpuAccess {
  readonly access: GuestAccessKind;
  readonly gpa: Gpa;
  readonly what: Uint8Array | number;
}

/** Runs the access page by page; pages before one that ends otherwise were accessed. Errors as `tdpFault`. */
export function* runVcpu(
  vm: Vm,
  vcpu: KvmVcpuHost,
  { access, gpa, what }: VcpuAccess,
  options: VcpuOptions,
): Op<RunResult> {
  const sizeBytes = typeof what === "number" ? what : what.length;
  const loaded = new Uint8Array(access === "write" ? 0 : sizeBytes);
  for (let at = 0; at < sizeBytes; ) {
    const from = addr<Gpa>(gpa + at);
    const length = Math.min(PAGE_SIZE - (from % PAGE_SIZE), sizeBytes - at);
    const part = typeof what === "number" ? length : what.subarray(at, at + length);
    const result = yield* inOnePage(vm, vcpu, { access, gpa: from, what: part }, options);
    if (result.kind !== "done") return result;
    if (access !== "write") loaded.set(result.bytes, at);
    at += length;
  }
  return { kind: "done", bytes: loaded };
}

function* inOnePage(vm: Vm, vcpu: KvmVcpuHost, one: VcpuAccess, { view }: VcpuOptions): Op<RunResult> {
  const gfn = Math.floor(one.gpa / PAGE_SIZE);
  for (;;) {
    const owned = vm.attributes.isPrivate(gfn);
    const isPrivate = view ? view === "private" : owned;
    // Each view has leaves of its own: an access in the wrong one finds none.
    if (isPrivate === owned) {
      const result = yield* enter(vcpu, one);
      if (result.kind !== "violation") return result;
    }
    const end = yield* tdpFault(vm, {
      gpa: one.gpa,
      access: one.access,
      isPrivate: view ? isPrivate : vm.attributes.isPrivate(gfn),
    });
    if (typeof end !== "string") return end;
  }
}

function enter(vcpu: KvmVcpuHost, { access, gpa, what }: VcpuAccess): Op<GuestAccess> {
  if (typeof what !== "number") return vcpu.write(gpa, what);
  return access === "execute" ? vcpu.fetch(gpa, what) : vcpu.read(gpa, what);
}
