/**
 * KVM as an importer: one VM, its memory slots, and the second stage that faults fill and invalidates empty. Linux 7.3:
 * virt/kvm/kvm_main.c, arch/x86/kvm/mmu.
 */
import type { Framework, Gpa, Op, Stage } from "@dma-buf/core";
import { checkAttributes, setMemoryAttributes } from "./attributes.js";
import { BufferSlots, type Memslot } from "./buffer-slots.js";
import type { DmaBufPages } from "./dma-buf-source.js";
import type { RunResult } from "./exits.js";
import { GuestMemfd } from "./guest-memfd.js";
import type { KvmHost } from "./host.js";
import { beginTaking, gfnsOver, invalidateGfns } from "./invalidating.js";
import { makeVm } from "./make-vm.js";
import type { SlotBacking } from "./memslot.js";
import type { KvmOptions } from "./options.js";
import { preFaultMemory } from "./pre-fault.js";
import { ProcessFiles } from "./process-files.js";
import { ProcessMemory } from "./process-memory.js";
import { refuse } from "./refuse.js";
import { checkRegion, type RegionRules } from "./region.js";
import { RwLock } from "./rw-lock.js";
import { setRegion, type SlotWorld } from "./set-region.js";
import { checkAccess } from "./shape.js";
import { slotWorld } from "./slot-world.js";
import type { CreateGuestMemfd, MemoryAttributesRequest, PreFaultMemory, UserMemoryRegion } from "./uapi.js";
import type { Contracted } from "./variant.js";
import { runVcpu, type VcpuAccess, type VcpuOptions } from "./vcpu.js";
import type { Vm } from "./vm.js";

const STORE = {
  id: "kvm/attributes",
  op: "KVM_SET_MEMORY_ATTRIBUTES",
  stage: "memslot",
  source: "Linux 7.3, virt/kvm/kvm_main.c",
} as const;

/**
 * One VM of one process. Every operation may sleep: call without a reservation. A refused one leaves nothing behind. The
 * object is the VM's identity: what an exporter binds to a VM is bound to it.
 * @example
 * const kvm = kvmImporter()(framework, host);
 * kvm.name; // "KVM guest"
 */
export class KvmImporter {
  readonly name: string;
  /** What the process has mapped: slots without a fd are over that. */
  readonly process: ProcessMemory;
  /** What the process has open. */
  readonly files: ProcessFiles = new ProcessFiles();
  readonly #host: KvmHost;
  readonly #vm: Vm;
  readonly #rules: RegionRules;
  readonly #world: SlotWorld;
  readonly #bufferSlots: BufferSlots;
  readonly #slotsLock = new RwLock("kvm.slots_lock");
  #hasEnded = false;

  /** @internal A variant makes it. */
  constructor(fw: Framework, host: KvmHost, contracted: Contracted, options: KvmOptions) {
    const { slotOver, posted, postedPlace } = contracted;
    const isPosted = posted !== null && (options.asPosted ?? false);
    const asPosted = isPosted && posted === "rfc";
    const placing = isPosted && postedPlace ? { ...contracted, place: postedPlace(host) } : contracted;
    const buffers = new Map<SlotBacking, DmaBufPages>();
    const backings = () => ({ process: this.process, buffers, trustedIo: host.trustedIo ?? null, vm: this });
    this.name = `KVM ${host.name}`;
    this.#host = host;
    this.#rules = { privateMemory: host.privateMemory, guestPhysBits: host.table.format.vaBits, asPosted };
    this.#vm = makeVm({ name: this.name, fw, host, options, isPosted, asPosted, backings });
    this.process = new ProcessMemory(fw, this.name, placing, ({ hva, sizeBytes }) =>
      beginTaking(this.#vm, gfnsOver(this.#vm.slots, hva, sizeBytes)),
    );
    const { rules, vm, files } = { rules: this.#rules, vm: this.#vm, files: this.files };
    const quiet = (): Op<void> => this.process.quiet();
    this.#world = slotWorld({ fw, vm, identity: this, rules, files, buffers, placing, quiet });
    const set = (region: UserMemoryRegion): Op<void> => this.setUserMemoryRegion(region);
    this.#bufferSlots = new BufferSlots({ over: slotOver, slots: vm.slots, process: this.process, files, set });
  }

  /**
   * `KVM_SET_USER_MEMORY_REGION2`, or the older ioctl. Takes `slots_lock`.
   * @throws DmaBufError at stage `memslot`: `EIO` after {@link destroy} · `EINVAL` a field that this VM or this slot cannot
   * have, no slot to delete · `EEXIST` guest frames of another slot, pages of the file that are another's · `ENOMEM` ·
   * `EBADF` the fd is not open; for a slot over a dma-buf what attaching and opening refuse with, at their stages.
   * RangeError for a `version` that is none
   */
  *setUserMemoryRegion(region: UserMemoryRegion, version: 1 | 2 = 2): Op<void> {
    this.needLife("KVM_SET_USER_MEMORY_REGION2");
    const checked = checkRegion(region, version, this.#rules);
    using _lock = yield* this.#slotsLock.write(this.name);
    this.needLife("KVM_SET_USER_MEMORY_REGION2");
    yield* setRegion(this.#world, checked);
  }

  /**
   * A slot over bytes of a buffer, in the way that the contract has: over the buffer itself, or over a mapping that the process
   * makes of it. It takes a reference to the buffer.
   * @returns the slot's id
   * @throws DmaBufError as {@link setUserMemoryRegion} and `process.mapBuffer` · TypeError no buffer
   */
  *setMemslot(memslot: Memslot): Op<number> {
    this.needLife("KVM_SET_USER_MEMORY_REGION2");
    return yield* this.#bufferSlots.add(memslot);
  }

  /** Undoes {@link setMemslot}. @throws DmaBufError at stage `memslot`: `EIO` after {@link destroy} · `EINVAL` no such slot */
  removeMemslot(id: number): Op<void> {
    return this.#bufferSlots.remove(id);
  }

  /**
   * `KVM_SET_MEMORY_ATTRIBUTES`. Takes `slots_lock`; the guest has nothing of the frames in their old view when it returns.
   * @throws DmaBufError at stage `memslot`: `EIO` after {@link destroy} · `EINVAL` flags, attributes that this VM has not, an
   * empty, wrapping or unaligned range · `ENOMEM`
   */
  *setMemoryAttributes(request: MemoryAttributesRequest): Op<void> {
    this.needLife("KVM_SET_MEMORY_ATTRIBUTES");
    const checked = checkAttributes(request, this.#rules);
    using _lock = yield* this.#slotsLock.write(this.name);
    const { attributes, fw } = this.#vm;
    yield* setMemoryAttributes(attributes, checked, () => fw.env.alloc(STORE), invalidateGfns(this.#vm));
  }

  /**
   * `KVM_CREATE_GUEST_MEMFD`. The file holds the VM: close it with `files.close()`.
   * @returns its fd in {@link files}
   * @throws DmaBufError at stage `memslot`: `EIO` after {@link destroy} · `ENOTTY` the host has no memory for it ·
   * `EINVAL` flags or size
   */
  createGuestMemfd(request: CreateGuestMemfd): number {
    this.needLife("KVM_CREATE_GUEST_MEMFD");
    const host = this.#host.guestMemory;
    if (!host) return refuse("ENOTTY", "KVM_CREATE_GUEST_MEMFD", `${this.name} has no guest_memfd: map memory instead`);
    const { privateMemory } = this.#host;
    const of = { vm: this, privateMemory, host, invalidate: invalidateGfns(this.#vm) };
    return this.files.install({ kind: "guest-memfd", gmem: new GuestMemfd(of, request) });
  }

  /**
   * The guest writes. Sleeps at `mmu_lock` and wherever the page is looked for.
   * @throws DmaBufError at stage `vcpu-run`: `EFAULT` the frame is not of this view, or nothing is mapped in the process ·
   * `EIO` the exporter refuses, the file's page is another slot's, or after {@link destroy} · `EHWPOISON` · `ENOMEM` no page
   * for a guest_memfd, and at stage `map` no page table. TypeError or RangeError for an argument that no guest could have
   */
  write(gpa: Gpa, bytes: Uint8Array, options: VcpuOptions = {}): Op<RunResult> {
    return this.#run({ access: "write", gpa, what: bytes }, options);
  }

  /** The guest reads. Errors as {@link write}. */
  read(gpa: Gpa, sizeBytes: number, options: VcpuOptions = {}): Op<RunResult> {
    return this.#run({ access: "read", gpa, what: sizeBytes }, options);
  }

  /** The guest fetches code. Errors as {@link write}. */
  fetch(gpa: Gpa, sizeBytes: number, options: VcpuOptions = {}): Op<RunResult> {
    return this.#run({ access: "execute", gpa, what: sizeBytes }, options);
  }

  /**
   * `KVM_PRE_FAULT_MEMORY`.
   * @returns bytes that were faulted in, fewer than asked where a later page was refused
   * @throws DmaBufError at stage `vcpu-run`, if there was not one: `EIO` after {@link destroy} · `EINVAL` flags, an empty, wrapping or unaligned range ·
   * `ENOENT` no slot · `EAGAIN` the slot is being changed · as {@link write}
   */
  *preFaultMemory(request: PreFaultMemory): Op<number> {
    this.needLife("KVM_PRE_FAULT_MEMORY", "vcpu-run");
    return yield* preFaultMemory(this.#vm, request);
  }

  /**
   * The process ends: slots, attachments, references, files and mappings go. The second stage stays, empty: it is the host's.
   * From its first step on all other calls are refused with `EIO`, as by a VM whose fd somebody else has still. Sleeps; a
   * second call does what is left to do.
   */
  *destroy(): Op<void> {
    this.#hasEnded = true;
    yield* this.#deleteSlots();
    yield* this.files.closeAll();
    yield* this.process.unmapAll();
  }

  /** @internal Linux: `kvm->mm != current->mm`, asked before everything else. @throws DmaBufError `EIO` at `stage` */
  needLife(op: string, stage: Stage = "memslot"): void {
    if (this.#hasEnded) refuse("EIO", op, `the process of ${this.name} has ended: make another VM`, {}, stage);
  }

  *#deleteSlots(): Op<void> {
    using _lock = yield* this.#slotsLock.write(this.name);
    for (const { id, addressSpace } of this.#vm.slots.all) {
      const none = { flags: 0, guestPhysAddr: 0n, memorySize: 0n, userspaceAddr: 0n };
      yield* setRegion(this.#world, checkRegion({ ...none, slot: addressSpace * 0x1_0000 + id }, 2, this.#rules));
    }
  }

  #run(access: VcpuAccess, options: VcpuOptions): Op<RunResult> {
    checkAccess(access, options);
    const { vcpu = 0 } = options;
    const host = this.#host.vcpus[vcpu];
    if (!host) throw new RangeError(`vCPU ${vcpu} of ${this.#host.vcpus.length}: they are counted from 0`);
    return this.#running(runVcpu(this.#vm, host, access, options));
  }

  *#running(run: Op<RunResult>): Op<RunResult> {
    this.needLife("KVM_RUN", "vcpu-run");
    return yield* run;
  }
}
