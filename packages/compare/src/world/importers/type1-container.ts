/**
 * vfio type1: `VFIO_IOMMU_MAP_DMA` over a CPU mapping of the buffer. It follows each page frame once, maps it into its
 * domain, and listens to nobody. Linux 7.3: drivers/vfio/vfio_iommu_type1.c. The conforming one has a notifier besides, as
 * who maps a CPU mapping's frames must.
 */
import {
  addr,
  type DmaBuf,
  type DmaBufAttachment,
  type DmaBufAttachOps,
  DmaBufError,
  type ErrnoName,
  hex,
  type Op,
  type PhysAddr,
  point,
  type Run,
  type Window,
} from "@dma-buf/core";
import type { MachineDevice, MachineDomain } from "@dma-buf/machine";
import { NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";
import type { IoMapper, IoRange } from "./io-mapper.js";
import { iommuHost } from "./iommu-host.js";

/** One `VFIO_IOMMU_MAP_DMA`. */
interface Mapped {
  readonly range: IoRange;
  readonly buf: DmaBuf;
  at: DmaBufAttachment | null;
  window: Window | null;
  /** Is it in the table? */
  isThere: boolean;
  /** Counts invalidates: what was followed before one is not mapped after it. */
  sequence: number;
}

/** A container with one device in it. */
export class Type1 implements IoMapper {
  readonly name: string;
  readonly device: MachineDevice;
  domain: MachineDomain | null = null;
  readonly #stage: Stage;
  readonly #host;
  readonly #retry: boolean;
  readonly #mapped: Mapped[] = [];

  /** @param retry does the conforming one follow again, what an invalidate overtook? */
  constructor(stage: Stage, device: MachineDevice, retry = true) {
    this.#retry = retry;
    this.name = `${device.name} in the container`;
    this.device = device;
    this.#stage = stage;
    this.#host = iommuHost(stage);
  }

  *map(buf: DmaBuf, range: IoRange): Op<void> {
    const { framework, column } = this.#stage;
    if (!column.contract.policy.backing.includes("mmap"))
      throw new NotApplicable("type1 maps what a process has mapped, and this contract maps nothing there");
    this.domain ??= this.#attachGroup();
    this.#checkAperture(this.domain, range);
    const mapped: Mapped = { range, buf, at: null, window: null, isThere: false, sequence: 0 };
    framework.get(buf);
    this.#mapped.push(mapped);
    let done = false;
    try {
      mapped.at = yield* framework.dynamicAttach(buf, null, { name: "vfio type1", ops: this.#notifier(mapped) });
      mapped.window = yield* framework.open(mapped.at, "bidirectional");
      while (!(yield* this.#follow(mapped, mapped.window, this.domain)));
      done = true;
    } finally {
      if (!done) yield* this.#forget(mapped);
    }
  }

  *unmap({ iova }: IoRange): Op<void> {
    for (const mapped of this.#mapped.filter(({ range }) => range.iova === iova)) yield* this.#forget(mapped);
  }

  *close(): Op<void> {
    for (const mapped of this.#mapped.slice()) yield* this.#forget(mapped);
    if (!this.domain) return;
    this.#host.detach(this.device);
    this.domain.destroy();
    this.domain = null;
  }

  /** The group's device leaves its default domain. */
  #attachGroup(): MachineDomain {
    const domain = this.#host.createDomain(this.device);
    this.#host.attach(this.device, domain);
    return domain;
  }

  /** None in Linux. */
  #notifier(mapped: Mapped): DmaBufAttachOps | null {
    if (this.#stage.cast.importerAsPosted) return null;
    const invalidateMappings = (): Op<void> => {
      mapped.sequence++;
      return this.#empty(mapped);
    };
    return { allowPeer2peer: true, invalidateMappings };
  }

  /** @returns whether what was followed still held when it was mapped */
  *#follow(mapped: Mapped, window: Window, { table }: MachineDomain): Op<boolean> {
    const { offset, sizeBytes, iova } = mapped.range;
    const { sequence } = mapped;
    const runs = yield* window.runs(offset, sizeBytes, null);
    yield* point("type1.install");
    if (this.#retry && sequence !== mapped.sequence) return false;
    mapped.isThere = true;
    for (const { at, length, physical } of clipped(runs, offset, sizeBytes))
      table.map(iova + at, physical, length, { read: true, write: true });
    return true;
  }

  *#empty(mapped: Mapped): Op<void> {
    const { domain } = this;
    if (!domain || !mapped.isThere) return;
    mapped.isThere = false;
    const gather: PhysAddr[] = [];
    domain.table.unmap(mapped.range.iova, mapped.range.sizeBytes, gather);
    yield* domain.flush();
    for (const table of gather) domain.memory.freeTable(table);
  }

  *#forget(mapped: Mapped): Op<void> {
    const { framework } = this.#stage;
    this.#mapped.splice(this.#mapped.indexOf(mapped), 1);
    yield* this.#empty(mapped);
    if (mapped.window) yield* mapped.window.close();
    if (mapped.at) yield* framework.detachAttachment(mapped.buf, mapped.at);
    yield* framework.put(mapped.buf);
  }

  #checkAperture({ apertureFirst, apertureLast }: MachineDomain, { iova, sizeBytes }: IoRange): void {
    const last = BigInt(iova) + BigInt(sizeBytes) - 1n;
    const isOutside = BigInt(iova) < apertureFirst || last > apertureLast;
    const isReserved = this.#host.reservedIovas(this.device).some((r) => BigInt(iova) <= r.last && r.first <= last);
    if (isOutside || isReserved)
      throw refused(
        "EINVAL",
        `${hex(iova)} is not in a valid range of the container, which ends at 0x${apertureLast.toString(16)}`,
      );
  }
}

/** The parts of `runs` in the range: `at` counts from its beginning. */
function* clipped(runs: readonly Run[], offset: number, sizeBytes: number) {
  for (const run of runs) {
    const from = Math.max(run.offset, offset);
    const to = Math.min(run.offset + run.sizeBytes, offset + sizeBytes);
    if (from < to)
      yield { at: from - offset, length: to - from, physical: addr<PhysAddr>(run.address + from - run.offset) };
  }
}

function refused(code: ErrnoName, message: string): DmaBufError {
  return new DmaBufError(code, { op: "VFIO_IOMMU_MAP_DMA", stage: "map", message });
}
