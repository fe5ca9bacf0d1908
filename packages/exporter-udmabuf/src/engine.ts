/**
 * udmabuf as an exporter: pages of memory files as one buffer. The variants say only what the importer is given; everything
 * about the life of the buffer is here.
 */
import type { DmaBuf, DmaBufOps, Framework, Op } from "@dma-buf/core";
import { type Backing, type Hold, pinned, type UdmabufLedger, type World } from "./backing.js";
import { CpuAccess, vmapped } from "./cpu-access.js";
import { faulting } from "./frames.js";
import type { UdmabufHost } from "./host.js";
import { type InstallFd, installed } from "./install.js";
import { checkItems, rawItem, type UdmabufItem } from "./items.js";
import { movable } from "./movable.js";
import { decode, type RawItem } from "./uapi.js";

/** What every variant can be told. */
export interface UdmabufOptions {
  /** Items that a list may have. @defaultValue 1024 */
  readonly listLimit?: number;
  /** Of a buffer, MiB. @defaultValue 2^31 - 1, as in Linux 7.3; 64 in old kernels */
  readonly sizeLimitMb?: number;
  /**
   * Do not pin: importers are told before a page moves, and a pin by an importer keeps it. Posted by nobody.
   * @defaultValue false
   */
  readonly movable?: boolean;
}

/** What a variant that was merged can be told besides. */
export interface UdmabufMergedOptions extends UdmabufOptions {
  /** The driver of Linux 7.3 where it differs from one that keeps every promise. Not with `movable`. @defaultValue false */
  readonly asPosted?: boolean;
}

/** `/dev/udmabuf`, opened by one process. */
export interface UdmabufExporter {
  /**
   * Makes a buffer of parts of memory files, one behind the other; the caller gets the one reference. Does not sleep.
   * @throws DmaBufError at stage `export`: `EINVAL` unaligned, more than the limit, nothing, wrong seals, beyond the end of
   * a file · `EBADFD` not open, or no memory file · `ENOMEM`, as of 1 TiB or more. Nothing is left behind.
   */
  create(items: readonly UdmabufItem[]): DmaBuf;
  /**
   * ioctl(2): decodes, creates, and has the buffer put into the file table.
   * @param user what lies at the pointer, as far as it can be read; `null`: nothing can
   * @param install gives an fd that consumes the reference; when it refuses or is ended, the buffer is put and nothing is left
   * @throws DmaBufError as {@link create}; `ENOTTY` no such command · `EFAULT` the argument cannot be read · what `install`
   * throws; TypeError when it returns a Promise
   */
  ioctl(command: number, user: Uint8Array | null, install: InstallFd): Op<number>;
  /** What is out. */
  readonly ledger: UdmabufLedger;
}

/** What a contract makes of pages: how importers get at them. */
export type Variant = (backing: Backing) => Omit<DmaBufOps, "release">;

const MIB = 2 ** 20;
const INT_MAX = 2 ** 31 - 1;
const O_RDWR = 2;

/** @throws TypeError for a movable buffer as posted: there is none · RangeError for a limit that is no `int` of at least 0 */
export function udmabufEngine(
  fw: Framework,
  host: UdmabufHost,
  options: UdmabufMergedOptions,
  variant: Variant,
): UdmabufExporter {
  const { listLimit = 1024, sizeLimitMb = INT_MAX, asPosted = false } = options;
  if (asPosted && options.movable) throw new TypeError("movable was posted by nobody: leave asPosted or movable out");
  needInts({ listLimit, sizeLimitMb });
  const hold = options.movable ? movable : pinned;
  const world: World = {
    fw,
    host,
    asPosted,
    out: { buffers: 0, tables: 0, pins: 0 },
    alloc: (op, stage) =>
      fw.env.alloc({ id: `${fw.contract.id}/udmabuf`, op, stage, source: "Linux 7.3, drivers/dma-buf/udmabuf.c" }),
  };
  const create = (items: readonly RawItem[]): DmaBuf => {
    world.alloc("udmabuf_create", "export");
    const checked = checkItems(items, sizeLimitMb * MIB);
    world.alloc("init_udmabuf", "export");
    return exported(world, checked, hold, variant);
  };
  return {
    create: (items) => create(items.map(rawItem)),
    *ioctl(command, user, install) {
      const { flags, items } = decode(command, user, listLimit, () => world.alloc("memdup_user", "export"));
      return yield* installed(fw, create(items), flags, install);
    },
    get ledger() {
      return { ...world.out };
    },
  };
}

/** Module parameters of the kernel. */
function needInts(limits: Record<string, number>): void {
  for (const [name, limit] of Object.entries(limits))
    if (!Number.isInteger(limit) || limit < 0 || limit > INT_MAX)
      throw new RangeError(`${name} ${limit}: give a whole number from 0 to ${INT_MAX}`);
}

function exported(world: World, items: readonly UdmabufItem[], hold: Hold, variant: Variant): DmaBuf {
  const entry = {} as { buf: DmaBuf };
  const backing = hold(world, items, () => entry.buf);
  const cpu = new CpuAccess(backing);
  const ops: DmaBufOps = {
    ...variant(backing),
    ...faulting(backing),
    ...vmapped(backing),
    ...cpu.ops,
    ...pinning(backing),
    *release() {
      world.out.buffers--;
      yield* cpu.drop();
      backing.release();
    },
  };
  const sizeBytes = items.reduce((sum, item) => sum + item.sizeBytes, 0);
  try {
    entry.buf = world.fw.export({ exporterName: "udmabuf", ops, sizeBytes, priv: entry, flags: O_RDWR });
  } catch (error) {
    backing.release();
    throw error;
  }
  world.out.buffers++;
  return entry.buf;
}

/** Pages that do not move need no pin, and without one the exporter is a static one. */
function pinning(backing: Backing): Pick<DmaBufOps, "pin" | "unpin"> {
  if (!backing.isMovable || !backing.world.fw.contract.rows.pin) return {};
  return { pin: () => backing.pin(), unpin: () => backing.unpin() };
}
