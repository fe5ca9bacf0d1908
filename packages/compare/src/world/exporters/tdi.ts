/** The interface of an assigned device that a VM trusts: locking it, binding it, and what the host still can do with it. */
import { addr, hex, type Op } from "@dma-buf/core";
import { VFIO_DMA_BUF_PRIVATE_KVM, type VfioExporter, type VfioOptions } from "@dma-buf/exporter-vfio";
import type { Machine, Strangers } from "@dma-buf/machine";
import * as v from "valibot";
import { accessActions, accessActs } from "../access.js";
import { type Acts, type Exported, NotApplicable } from "../actor.js";
import type { PhysRange } from "../content.js";
import type { Stage } from "../stage.js";
import { HostCpu } from "./host-cpu.js";

export const tdiActions = {
  /** The VM accepts the device: its interface runs, and its memory is that VM's alone. */
  lock: v.strictObject({
    /** Only a device that was bound in VFIO? */
    ifBound: v.optional(v.boolean(), false),
  }),
  /** The device is bound to the VM in VFIO, so that its exporter knows. What was posted and knows no such binding does nothing. */
  bind: v.strictObject({
    /** Did somebody with a device have the memory until now? For him it is taken away then. */
    takesAway: v.optional(v.boolean(), false),
  }),
  /** The VMM maps the region through the device's fd, and reads 4 bytes. */
  "host-read": v.strictObject({}),
  /** A CPU of the host, through a mapping that the kernel made: cached as the memory wants it. */
  "cpu-read": accessActions.read,
  "cpu-write": accessActions.write,
  /** The device writes into its VM's RAM, if its interface runs. */
  "dma-write": v.strictObject({}),
};

export const tdiOptions = {
  /** Whose the device is to be: without it there is no interface that anybody could lock or bind. */
  tdi: v.optional(v.pipe(v.string(), v.regex(/^locked, private to \w+$/, "locked, private to a VM"))),
  /** What the device does with requests that come without trust. @defaultValue as the topology says */
  strangers: v.optional(v.picklist(["ones", "rejected", "machine-check", "let-through"])),
  /** Does an annotation say whose alone the memory is? */
  tagsOwner: v.optional(v.boolean(), false),
  /** What lies behind the BAR. @defaultValue device memory that no CPU caches */
  memory: v.optional(v.literal("cacheable device memory")),
};
type TdiOptions = v.InferOutput<v.StrictObjectSchema<typeof tdiOptions, undefined>>;

/** What the package is told. */
export function vfioOptions({ tagsOwner, memory }: TdiOptions): Pick<VfioOptions, "tagsOwner" | "memory"> {
  return { tagsOwner, ...(memory ? { memory: { cache: "wb", snoop: true } } : {}) };
}

/** Whose bytes it is says how they want to be reached. */
export function declareMemory({ attributes }: Machine, bar: PhysRange, { memory }: TdiOptions): void {
  if (memory) attributes.declare({ ...bar, type: "wb" });
}

export interface Tdi {
  readonly vfio: VfioExporter;
  readonly bar: PhysRange;
  readonly options: TdiOptions;
  exported(name: string): Exported;
}

export function tdiActs(stage: Stage, tdi: Tdi): Acts<typeof tdiActions> & { close(): void } {
  const { binding, trustedIo } = stage;
  const { vfio, bar, options, exported } = tdi;
  const host = new HostCpu(stage.machine, bar, options.memory ? "wb" : "uc");
  const kernel = accessActs(stage, {
    name: "a CPU of the host",
    buffer: () => "buffer",
    write: (offset, bytes) => host.write(offset, bytes),
    read: (offset, sizeBytes) => host.read(offset, sizeBytes),
    via: (offset) => `a mapping of the kernel at offset ${hex(offset)}`,
  });
  return {
    // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
    *lock({ ifBound }) {
      if (ifBound && !vfio.binding.data.isPrivate) return;
      const strangers = options.strangers ?? strangersOf(stage);
      trustedIo.lock({ device: binding.exporter, owner: ownerOf(options), strangers, report: [bar] });
    },
    *bind({ takesAway }) {
      if (!knowsBinding(stage, exported)) return;
      if (takesAway) stage.setTaken(true);
      yield* vfio.binding.bind(trustedIo.vm(ownerOf(options)));
      if (takesAway) stage.judge.gaveUp([bar], "the BAR");
    },
    *"host-read"() {
      const result = yield* host.mapAndRead((vma) => vfio.mmapRegion(binding.barIndex, vma));
      const { content } = exported("buffer");
      const met = { content, offset: 0, bytes: content.read(0, 4), isTaken: stage.isExcused };
      stage.judge.access("the VMM", "read", result, { ...met, via: "a mapping of the region" });
    },
    "cpu-read": kernel.read,
    "cpu-write": kernel.write,
    *"dma-write"() {
      if (!trustedIo.isRunning)
        return stage.judge.good({
          kind: "device",
          id: binding.exporter,
          text: "its interface is stopped, and it sends nothing",
        });
      yield* dmaWrite(stage);
    },
    close: () => host.close(),
  };
}

/** The VM that accepts the device. */
function ownerOf({ tdi }: TdiOptions): string {
  if (!tdi) throw new NotApplicable("the device has no interface that a VM could trust");
  return tdi.slice(tdi.lastIndexOf(" ") + 1);
}

/** Where the only way to the memory is a mapping of the host, a binding that forbids it would forbid the VM's as well. */
function knowsBinding({ column, cast }: Stage, exported: Tdi["exported"]): boolean {
  if (column.contract.policy.backing.every((call) => call === "mmap")) return false;
  // Code as posted knows the binding if its buffers tell of it.
  return !cast.exporterAsPosted || (exported("buffer").buf.ops.interfaces?.has(VFIO_DMA_BUF_PRIVATE_KVM) ?? false);
}

function strangersOf({ scenario }: Stage): Strangers {
  const { tdisp, hostAccess, sharedAccess } = scenario.topology.modifiers;
  if (hostAccess === "machine check") return "machine-check";
  if (sharedAccess === "let through") return "let-through";
  return tdisp === true ? "rejected" : "ones";
}

function* dmaWrite({ binding, judge, machine, trustedIo }: Stage): Op<void> {
  const at = trustedIo.dmaPage;
  const bytes = judge.pattern(64);
  const device = machine.device(binding.exporter);
  // The IOMMU is off: a number of RAM is its own address on the bus.
  const result = yield* device.write(addr<Parameters<typeof device.write>[0]>(at), bytes);
  const seen = machine.memory.read(at, bytes.length);
  if (result.kind !== "fault" && bytes.some((byte, i) => byte !== seen[i]))
    judge.mark("CORRUPT", {
      kind: "bytes",
      id: "I1",
      text: `${bytes.length} bytes that ${device.name} wrote into its VM are lost, and no error says so: ${result.kind === "lost" ? result.reason : "they went elsewhere"}`,
    });
}
