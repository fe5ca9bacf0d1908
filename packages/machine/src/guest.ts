/** A guest: vCPUs whose accesses go through one second stage, and what KVM needs of the machine. */
import { type Gpa, hex, type Op, type PhysAddr, point, type SystemMemory, type TableMemory } from "@dma-buf/core";
import { ept, type Format, type MemoryType, type PageTable, type Protection } from "@dma-buf/page-table";
import { effectiveEptType, effectiveNptType } from "./attributes.js";
import { type CpuResult, CpuThread } from "./cpu-thread.js";
import type { GuestMemory } from "./guest-memory.js";
import type { Machine } from "./machine.js";
import { vmPath } from "./private.js";

/** How a guest's access ended: like a CPU's, or with an exit to KVM because the second stage has no entry. */
export type GuestAccess = CpuResult | { readonly kind: "violation"; readonly reason: string };

export interface GuestOptions {
  /** @defaultValue 1 */
  readonly vcpus?: number;
  /** `ept`, or `npt`, whose leaves say no memory type. @defaultValue ept */
  readonly format?: Format;
  /** The memory type that the guest's own page tables ask for. @defaultValue "wb" */
  readonly guestType?: MemoryType;
  /** @defaultValue none */
  readonly guestMemory?: GuestMemory;
}

export class GuestVm {
  readonly name: string;
  /** Does this VM have private memory? The RFC's memory slots ask for it. */
  readonly privateMemory: boolean;
  /** The second stage. KVM owns it and writes it; the vCPUs walk it. */
  readonly table: PageTable;
  /** Where tables go back to that KVM took out of {@link table}. */
  readonly tables: Pick<TableMemory, "freeTable">;
  /** Which page frames are RAM. */
  readonly memory: SystemMemory;
  /** Where pages of guest_memfds come from. */
  readonly guestMemory: GuestMemory | null;
  readonly vcpus: readonly Vcpu[];

  constructor(machine: Machine, name: string, privateMemory: boolean, options: GuestOptions = {}) {
    const { vcpus = 1, format = ept, guestType = "wb", guestMemory = null } = options;
    this.name = name;
    this.privateMemory = privateMemory;
    this.table = machine.pageTable(`${format.title} of ${name}`, format);
    this.tables = machine.memory.tables;
    this.memory = machine.memory;
    this.guestMemory = guestMemory;
    this.vcpus = Array.from({ length: vcpus }, (_, i) => {
      const by = vcpus === 1 ? name : `${name} vCPU ${i}`;
      return new Vcpu(machine, by, { vm: name, format, guestType, table: this.table });
    });
  }

  /** The first vCPU writes. Sleeps before the walk, and on the way to device memory. */
  *write(gpa: Gpa, bytes: Uint8Array): Op<GuestAccess> {
    return yield* this.#first.write(gpa, bytes);
  }

  /** The first vCPU reads. */
  *read(gpa: Gpa, sizeBytes: number): Op<GuestAccess> {
    return yield* this.#first.read(gpa, sizeBytes);
  }

  /**
   * Every vCPU drops its cached translations; returns when they have. Linux: `kvm_flush_remote_tlbs()`. Until a vCPU has
   * answered the interrupt, it may use what it cached.
   */
  *flushTlb(): Op<void> {
    for (const vcpu of this.vcpus) vcpu.thread.requestFlush();
    for (const vcpu of this.vcpus) yield* vcpu.thread.kick("kvm.flush_remote_tlbs");
  }

  /** Gives the second stage back, and what vCPUs hold of it. Every access is a violation from here on. */
  destroy(): void {
    this.table.destroy();
    for (const { thread } of this.vcpus) thread.stop();
  }

  get #first(): Vcpu {
    return this.vcpus[0] as Vcpu;
  }
}

interface VcpuInit {
  readonly vm: string;
  readonly format: Format;
  readonly guestType: MemoryType;
  readonly table: PageTable;
}

export class Vcpu {
  readonly name: string;
  /** @internal For the VM's flush. */
  readonly thread: CpuThread;
  readonly #machine: Machine;

  /** @internal A {@link GuestVm} makes its own. */
  constructor(machine: Machine, name: string, { vm, format, guestType, table }: VcpuInit) {
    this.#machine = machine;
    this.name = name;
    this.thread = new CpuThread({
      machine,
      name: `${format.title} of ${name}`,
      by: name,
      trust: vmPath(vm),
      format,
      root: table,
      typeOf: (physical, protection) => this.#book(physical, protection, guestType),
    });
  }

  /** A store of the guest, as {@link GuestVm.write}. */
  *write(gpa: Gpa, bytes: Uint8Array): Op<GuestAccess> {
    yield* point("vcpu.access");
    this.#machine.trace.emit("access", () => `${this.name} writes ${bytes.length} bytes at GPA ${hex(gpa)}`);
    return this.#ended(yield* this.thread.access(gpa, bytes));
  }

  /** A load of the guest. */
  *read(gpa: Gpa, sizeBytes: number): Op<GuestAccess> {
    yield* point("vcpu.access");
    this.#machine.trace.emit("access", () => `${this.name} reads ${sizeBytes} bytes at GPA ${hex(gpa)}`);
    return this.#ended(yield* this.thread.access(gpa, sizeBytes));
  }

  /** A load of code: the second stage must allow to execute it. */
  *fetch(gpa: Gpa, sizeBytes: number): Op<GuestAccess> {
    yield* point("vcpu.access");
    this.#machine.trace.emit("access", () => `${this.name} fetches ${sizeBytes} bytes at GPA ${hex(gpa)}`);
    return this.#ended(yield* this.thread.access(gpa, sizeBytes, "execute"));
  }

  #ended(result: CpuResult | { readonly kind: "no-entry"; readonly reason: string }): GuestAccess {
    return result.kind === "no-entry" ? { ...result, kind: "violation" } : result;
  }

  /** KVM writes the table, so what a vCPU maps is seen when it caches it. */
  #book(physical: PhysAddr, { cache }: Protection, guest: MemoryType): MemoryType {
    const { attributes, trace } = this.#machine;
    // NPT has no type: the host's MTRRs count, and they are UC for all that is not RAM.
    const mtrr = attributes.ownerOf(physical) === "wb" ? "wb" : "uc";
    const mapped = cache ? effectiveEptType(cache, guest) : effectiveNptType(mtrr, guest);
    attributes.book({ step: trace.scheduler.steps, by: this.name, physical, sizeBytes: 4096, mapped });
    return mapped;
  }
}
