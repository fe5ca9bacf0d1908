/** What the parts of the exporter share: one GPU, its memory, and who keeps it awake. */
import type { DmaBuf, DmaBufAttachment, DmaBufOps, Framework, Op, Stage } from "@dma-buf/core";
import { type OwnedBo, refuse } from "./buffer-object.js";
import type { GpuHost, Place } from "./host.js";
import type { GpuMemoryManager } from "./memory.js";
import type { Mover } from "./move.js";

/** How the driver behaves; the faults are there to be seen. */
export interface GpuOptions {
  /** The driver as it is in Linux, where that differs from the best the contract allows. @defaultValue false */
  readonly asPosted?: boolean;
  /** Can the display engine show RAM? Then a CPU read brings the buffer there. @defaultValue true */
  readonly displayFromGtt?: boolean;
  /** Whose driver is played as posted: `xe` wakes its GPU for who attaches. @defaultValue "amdgpu" */
  readonly driver?: "amdgpu" | "xe";
  /** `false`: nobody is promised that a buffer stays where it is; as posted everybody is. @defaultValue true */
  readonly pinnable?: boolean;
  /** May VRAM be taken away from a buffer that is pinned? Then who cannot be told is refused, under Linux 7.3. @defaultValue false */
  readonly losesMemory?: boolean;
  /** A fault to inject, `false`: who attaches is not looked at, and gets whatever address there is. @defaultValue true */
  readonly checksImporter?: boolean;
  /** A fault to inject: a move waits for nobody's fences. @defaultValue false */
  readonly ignoresFences?: boolean;
}

/** One GPU with its driver. */
export interface Gpu {
  readonly fw: Framework;
  readonly host: GpuHost;
  readonly options: GpuOptions;
  readonly memory: GpuMemoryManager;
  readonly mover: Mover;
  /** Buffer objects whose memory is not given back yet. */
  readonly live: Set<OwnedBo>;
  /** Attachments for which the GPU is kept awake. */
  readonly awakeFor: Set<DmaBufAttachment>;
  /** Attachments that cannot be told anything, for which the buffer is pinned. */
  readonly keptFor: Set<DmaBufAttachment>;
  /** Tables that importers hold. */
  tables: number;
  /** It was pulled out. */
  removed: boolean;
}

/** What a contract makes of a GPU. */
export interface Variant {
  /** See `MoveOptions`. */
  readonly settles: boolean;
  /** Did anybody post a driver for it? Else there is no `asPosted`. */
  readonly posted: boolean;
  /** The operations besides `release`. */
  ops(gpu: Gpu, bo: OwnedBo): Omit<DmaBufOps, "release">;
}

/** Where the buffer is. @throws DmaBufError `ENODEV` when it is gone, or the GPU is */
export function present(gpu: Gpu, bo: OwnedBo, op: string, stage: Stage): Place {
  if (bo.place && !gpu.removed) return bo.place;
  return refuse("ENODEV", op, stage, `${gpu.host.name} has no memory behind this buffer any more: export another`);
}

/**
 * Whose importers are told when the buffer goes elsewhere; `null`: nobody is left. As posted the driver finds the dma-buf
 * by its GEM handle: once that is closed, it tells nobody although importers are attached.
 */
export function toBeTold({ options }: Gpu, { buf, closed }: OwnedBo): DmaBuf | null {
  return buf && buf.refs > 0 && !(options.asPosted && closed) ? buf : null;
}

/** Does the importer's device reach all of VRAM over the GPU's fabric? */
export function overFabric({ host }: Gpu, { device }: DmaBufAttachment): boolean {
  const own = host.fabric?.fabric;
  return device?.spaces.some((s) => s.kind === "device-private" && s.fabric === own) ?? false;
}

/** Keeps the GPU awake for an attachment, until {@link letSleep}. amdgpu as posted: if it is awake. `false`: it is not. */
export function* keepAwake({ host, options, awakeFor }: Gpu, at: DmaBufAttachment): Op<boolean> {
  const asks = options.asPosted && options.driver !== "xe";
  if (asks && !host.runtimeGetIfActive()) return false;
  if (!asks) yield* host.runtimeGet();
  awakeFor.add(at);
  return true;
}

export function letSleep({ host, awakeFor }: Gpu, at: DmaBufAttachment): void {
  if (awakeFor.delete(at)) host.runtimePut();
}
