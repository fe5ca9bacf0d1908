/**
 * Trusted I/O: the VM that a device's interface is locked to, and what the platform's firmware does when the host takes private
 * device memory away in an order that it does not allow. A platform model, unverified: TDX Connect, SEV-TIO, Arm's device
 * assignment for realms. Who is in order stops the interface first.
 */
import { addr, type Op, type PhysAddr, point } from "@dma-buf/core";
import type { Machine, PrivateRange, Strangers } from "@dma-buf/machine";
import type { Judge } from "../judge.js";
import type { PhysRange } from "./content.js";

/** The one page of the owner's RAM that its device writes into, above the start of RAM, bytes. */
const DMA_PAGE = 0x3000_0000;
const PAGE_BYTES = 4096;

/** What comes of a private mapping that goes while the interface runs. `null`: the platform does not look. */
type Consequence = "kills the VM" | "fences the device" | "destroys the memory" | null;
const CONSEQUENCES: Readonly<Record<string, Consequence>> = {
  TDX: "kills the VM",
  "SEV-SNP": "fences the device",
  "CCA realm": "destroys the memory",
};

/** An interface in its locked or running state. */
interface Locked {
  readonly owner: string;
  /** By name: it comes by the owner's trusted path. */
  readonly device: string;
  readonly strangers: Strangers;
  /** What the device says of itself: it signs where its memory is. */
  readonly report: readonly PhysRange[];
  readonly memory: readonly PrivateRange[];
  /** Of the owner's RAM. */
  readonly dma: PrivateRange;
}

export class TrustedIo {
  readonly #machine: Machine;
  readonly #judge: Judge;
  readonly #platform: string;
  readonly #vms = new Map<string, object>();
  #locked: Locked | null = null;
  /** Whose device memory is gone for good, and why. */
  #aborting: { readonly vm: string; readonly why: string } | null = null;

  /** @param platform a key of the consequences: `TDX`; any other platform does not look */
  constructor(machine: Machine, judge: Judge, platform: string) {
    this.#machine = machine;
    this.#judge = judge;
    this.#platform = platform;
  }

  /** There is a VM of that name; exporters know it by the object. */
  join(name: string, vm: object): void {
    this.#vms.set(name, vm);
  }

  /** The object that stands for a VM; for one that plays no part, one of its own. */
  vm(name: string): object {
    const vm = this.#vms.get(name) ?? { name };
    this.#vms.set(name, vm);
    return vm;
  }

  /** What the device says of itself, if it is locked: where its memory is. */
  get report(): readonly PhysRange[] {
    return this.#locked?.report ?? [];
  }

  /** Where the device writes to in the owner's RAM. */
  get dmaPage(): PhysAddr {
    return addr((this.#machine.memory.ram[0]?.base ?? 0) + DMA_PAGE);
  }

  /** Does the interface run? Then the device does DMA by the owner's path. */
  get isRunning(): boolean {
    return this.#locked !== null;
  }

  /** The guest accepts the device: its memory, and the RAM that it may write, are the guest's alone. */
  lock({ device, owner, strangers, report }: Omit<Locked, "memory" | "dma">): void {
    const trusted = [device];
    const own = (base: number, sizeBytes: number): PrivateRange =>
      this.#machine.private.add({ base: addr(base), sizeBytes, owner, trusted, strangers });
    const memory = report.map(({ base, sizeBytes }) => own(base, sizeBytes));
    this.#locked = { owner, device, strangers, report, memory, dma: own(this.dmaPage, PAGE_BYTES) };
    this.#machine.trace.emit("event", () => `${device}: its interface is locked to ${owner} and runs`);
  }

  /** The interface stops: it sends nothing more, and its memory may be taken away. */
  *stop(): Op<void> {
    const { private: privateMemory, trace } = this.#machine;
    if (!this.#locked) return;
    yield* point("tdi.stop");
    // Somebody else stopped it meanwhile.
    if (!this.#locked) return;
    const { device, memory, dma } = this.#locked;
    trace.emit("event", () => `${device}: its interface stops`);
    for (const range of [...memory, dma]) privateMemory.remove(range);
    this.#locked = null;
    this.#judge.good({
      kind: "device",
      id: device,
      text: `${device}: its interface stops before its memory is taken away`,
    });
  }

  /** The owner shares a part of the device's memory with the host. */
  share({ base, sizeBytes }: PhysRange): void {
    const { private: privateMemory } = this.#machine;
    const locked = this.#locked;
    const from = locked?.memory.find((r) => r.base <= base && base + sizeBytes <= r.base + r.sizeBytes);
    if (!locked || !from) return;
    privateMemory.remove(from);
    const rest = [
      { ...from, sizeBytes: base - from.base },
      { ...from, base: addr<PhysAddr>(base + sizeBytes), sizeBytes: from.base + from.sizeBytes - base - sizeBytes },
    ].filter((range) => range.sizeBytes > 0);
    this.#locked = {
      ...locked,
      memory: [...locked.memory.filter((r) => r !== from), ...rest.map((r) => privateMemory.add(r))],
    };
  }

  /** The host took the private mapping of the device's memory out of a VM's table. */
  unmapped(vm: string): void {
    if (this.#locked?.owner !== vm) return;
    const consequence = CONSEQUENCES[this.#platform] ?? null;
    if (consequence)
      this.#machine.trace.emit("event", () => `${this.#platform}: ${this.#early}: firmware ${consequence}`);
    if (consequence === "kills the VM") this.#kill();
    if (consequence === "fences the device") this.#fence(this.#locked);
    if (consequence === "destroys the memory") this.#aborting = { vm, why: this.#early };
  }

  /** Why a VM's accesses to its device's memory abort; `null`: they do not. */
  abortOf(vm: string): string | null {
    return this.#aborting?.vm === vm ? this.#aborting.why : null;
  }

  get #early(): string {
    return `its private mapping went while the interface of ${this.#locked?.device} ran`;
  }

  /** The TDX module refuses to take the page out of the secure EPT, and KVM cannot go on without it. */
  #kill(): void {
    const text = `the ${this.#platform} module refuses: ${this.#early}; KVM kills ${this.#locked?.owner}`;
    this.#judge.mark("CRASH", { kind: "device", id: `${this.#platform} module`, text });
  }

  /** What the device sends from here on is dropped, and nobody is told. */
  #fence({ dma }: Locked): void {
    const { private: privateMemory } = this.#machine;
    privateMemory.remove(dma);
    const { trusted: _gone, ...untrusted } = dma;
    privateMemory.add({ ...untrusted, strangers: "ones" });
  }
}
