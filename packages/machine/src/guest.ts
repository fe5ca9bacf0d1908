/** A guest: one vCPU whose accesses go through a second stage, and what KVM needs of the machine. */
import { type AccessResult, type Gpa, hex, type Op, point } from "@dma-buf/core";
import { ept, type PageTable } from "@dma-buf/page-table";
import { finish } from "./device.js";
import type { TranslatedSpace } from "./domain.js";
import type { Machine } from "./machine.js";

/** How a guest's access ended: like a device's, or with an exit to KVM because the second stage has no entry. */
export type GuestAccess = AccessResult | { readonly kind: "violation"; readonly reason: string };

export class GuestVm {
  readonly name: string;
  /** Does this VM have private memory? The RFC's memory slots ask for it. */
  readonly privateMemory: boolean;
  /** The second stage. KVM owns it and writes it; the vCPU walks it. */
  readonly table: PageTable;
  readonly #machine: Machine;
  readonly #tlb: TranslatedSpace;

  constructor(machine: Machine, name: string, privateMemory: boolean) {
    this.#machine = machine;
    this.name = name;
    this.privateMemory = privateMemory;
    this.table = machine.pageTable(`EPT of ${name}`, ept);
    this.#tlb = machine.space(`EPT of ${name}`, ept, this.table);
  }

  /** The vCPU writes. May sleep before the walk. */
  *write(gpa: Gpa, bytes: Uint8Array): Op<GuestAccess> {
    return yield* this.#access(gpa, "write", bytes.length, bytes);
  }

  /** The vCPU reads. May sleep before the walk. */
  *read(gpa: Gpa, sizeBytes: number): Op<GuestAccess> {
    return yield* this.#access(gpa, "read", sizeBytes, null);
  }

  /** Every vCPU drops its cached translations; returns when they have. */
  *flushTlb(): Op<void> {
    yield* point("kvm.flush_remote_tlbs");
    this.#tlb.flush();
  }

  destroy(): void {
    this.table.destroy();
  }

  *#access(gpa: Gpa, access: "read" | "write", sizeBytes: number, bytes: Uint8Array | null): Op<GuestAccess> {
    yield* point("vcpu.access");
    this.#machine.trace.emit("access", () => `${this.name} ${access}s ${sizeBytes} bytes at GPA ${hex(gpa)}`);
    const found = this.#tlb.translate(gpa, access);
    if (found.kind === "fault") return { kind: "violation", reason: found.reason };
    const delivery = this.#machine.cpuAccess(found.physical);
    if (delivery.kind === "memory" && bytes) this.#machine.memory.write(delivery.physical, bytes);
    const got =
      delivery.kind === "memory" && !bytes
        ? this.#machine.memory.read(delivery.physical, sizeBytes)
        : new Uint8Array(0);
    return finish(this.#machine, this.name, delivery, access, sizeBytes, got);
  }
}
