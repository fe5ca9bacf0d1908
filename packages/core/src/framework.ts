/**
 * The dma-buf core: what exporters and importers call. It checks what the contract's rows and policy say, counts
 * references, and passes calls on. Linux: `drivers/dma-buf/dma-buf.c`. It is built in layers, each one idea:
 * buffers, mappings, attachments, CPU access, and here files.
 */
import type { Contract, Window } from "./contract.js";
import { CpuAccessCalls } from "./cpu-access.js";
import type { DmaBuf, DmaBufAttachment, File } from "./dma-buf.js";
import { Env, type EnvOptions } from "./env.js";
import { FdTable } from "./fd-table.js";
import type { OwnedBuf, PollDirection } from "./ledger.js";
import type { Config } from "./mappings.js";
import type { MaySleep, Op } from "./op.js";
import type { Direction } from "./run.js";
import type { Scheduler } from "./scheduler.js";
import { usageRw } from "./usage.js";

/** An ioctl that another package adds: `arg` is what userspace gave, `null` what cannot be read. */
export type IoctlHandler = (framework: Framework, buf: DmaBuf, arg: unknown) => MaySleep<unknown>;

/** A kernel: its contract, its scheduler, how it was built. */
export interface FrameworkOptions extends Config, EnvOptions {
  readonly contract: Contract;
  readonly scheduler: Scheduler;
  /** The process that calls. @defaultValue one with 1024 files */
  readonly fds?: FdTable;
  /** By command number: sync files, for one. Without it those answer `ENOTTY`, as without `CONFIG_SYNC_FILE`. */
  readonly ioctls?: ReadonlyMap<number, IoctlHandler>;
}

/**
 * ioctl commands of a dma-buf's fd that the core knows. Linux: `include/uapi/linux/dma-buf.h`.
 * @example
 * yield* framework.ioctl(buf, DMA_BUF_IOCTL.SET_NAME_B, "scanout");
 */
export const DMA_BUF_IOCTL = { SYNC: 0x40086200, SET_NAME_A: 0x40046201, SET_NAME_B: 0x40086201 } as const;

/**
 * Flags of `DMA_BUF_IOCTL_SYNC`.
 * @example
 * yield* framework.ioctl(buf, DMA_BUF_IOCTL.SYNC, { flags: DMA_BUF_SYNC.START | DMA_BUF_SYNC.READ });
 */
export const DMA_BUF_SYNC = { READ: 1, WRITE: 2, RW: 3, START: 0, END: 4 } as const;

/** Bytes, with the NUL. */
const NAME_MAX = 32;

/**
 * One kernel with its buffers.
 * @example
 * const scheduler = new Scheduler();
 * const framework = new Framework({ contract: dmaAddress, scheduler });
 * const buf = framework.export({ exporterName: "mine", ops, sizeBytes: 4096, priv: {} });
 * scheduler.complete("put", framework.put(buf));
 * framework.ledger.buffers; // 0
 */
export class Framework extends CpuAccessCalls {
  readonly fds: FdTable;
  readonly #ioctls: ReadonlyMap<number, IoctlHandler>;

  constructor(options: FrameworkOptions) {
    super(options.contract, new Env(options.scheduler, options), options);
    this.fds = options.fds ?? new FdTable();
    this.#ioctls = options.ioctls ?? new Map();
  }

  /** Opens the contract's view of the buffer for an importer; see `Window`. */
  open(attachment: DmaBufAttachment, direction: Direction): Op<Window> {
    return this.contract.open(this, attachment, direction);
  }

  /**
   * Puts the buffer into the file table: the caller's reference is the fd's from now on.
   * @throws DmaBufError `EINVAL` without a buffer; `EMFILE` when the table is full: the caller keeps its reference.
   */
  fd(buf: DmaBuf): number {
    if (!buf) throw this.error("EINVAL", "fd", "no buffer: export one");
    const fd = this.fds.reserve();
    if (fd === null)
      throw this.error("EMFILE", "fd", "the file table is full: close an fd; the reference is still yours");
    this.event("dma_buf_fd", buf, ` fd=${fd}`);
    this.fds.install(fd, this.file(buf));
    return fd;
  }

  /** As {@link fd}, into one that was reserved before. Linux 7.3: `dma_buf_fd_install()`. */
  fdInstall(buf: DmaBuf, fd: number): void {
    this.event("dma_buf_fd", buf, ` fd=${fd}`);
    this.fds.install(fd, this.file(buf));
  }

  /** The buffer behind `fd`, with a reference. @throws DmaBufError `EBADF` when it is closed, `EINVAL` for another file */
  getByFd(fd: number): DmaBuf {
    const file: (File & { readonly buf?: DmaBuf }) | null = this.fds.get(fd);
    if (!file) throw this.error("EBADF", "getByFd", `fd ${fd} is not open: open it first`);
    if (!file.buf) throw this.error("EINVAL", "getByFd", `fd ${fd} is a ${file.kind}: give a dma-buf's`);
    this.get(file.buf);
    this.event("dma_buf_get", file.buf, ` fd=${fd}`);
    return file.buf;
  }

  /** lseek(2). `whence`: 0 `SEEK_SET`, 2 `SEEK_END`. Tells the size, bytes, or 0. @throws DmaBufError `EINVAL` */
  llseek(buf: DmaBuf, offset: number, whence: number): number {
    if (whence !== 0 && whence !== 2)
      throw this.error("EINVAL", "llseek", `whence ${whence}: SEEK_SET (0) or SEEK_END (2) only`);
    if (offset !== 0) throw this.error("EINVAL", "llseek", `offset ${offset}: 0 only`);
    return whence === 2 ? buf.sizeBytes : 0;
  }

  /**
   * poll(2). Ready to read: no KERNEL or WRITE fence is left; ready to write: no READ fence either. What is not ready
   * is armed on one fence, which calls `wake`; asking again may arm on the next. One for each direction and buffer.
   */
  *poll(buf: DmaBuf, wanted: readonly PollDirection[], wake: () => void): Op<PollDirection[]> {
    const own = this.own(buf, "poll");
    using _held = yield* own.resv.lock();
    const ready: PollDirection[] = [];
    for (const direction of ["out", "in"] as const)
      if (wanted.includes(direction) && !own.polls[direction] && !this.#arm(own, direction, wake))
        ready.push(direction);
    return ready;
  }

  /**
   * ioctl(2) on the buffer's fd. `arg`: `{ flags }` for `SYNC`, the text for `SET_NAME`; `null` cannot be read.
   * @throws DmaBufError `EFAULT`, `EINVAL`, `ENOTTY`, or `ERESTARTSYS` while waiting for fences.
   */
  *ioctl(buf: DmaBuf, command: number, arg: unknown): Op<unknown> {
    const added = this.#ioctls.get(command);
    if (added) return yield* this.settle("ioctl", "framework", added(this, buf, arg));
    if (!Object.values<number>(DMA_BUF_IOCTL).includes(command))
      throw this.error("ENOTTY", "ioctl", `command ${command} is none of a dma-buf's: SYNC or SET_NAME`);
    const flags = (arg as { flags?: unknown } | null)?.flags;
    if (command === DMA_BUF_IOCTL.SYNC && typeof flags === "number") return yield* this.#sync(buf, flags);
    if (typeof arg !== "string" || command === DMA_BUF_IOCTL.SYNC)
      throw this.error("EFAULT", "ioctl", "the argument cannot be read: give a valid pointer");
    if (new TextEncoder().encode(arg).length >= NAME_MAX)
      throw this.error("EINVAL", "ioctl", `the name ${arg} has ${NAME_MAX} bytes or more: shorten it`);
    this.own(buf, "ioctl").name = arg;
    return undefined;
  }

  /** A file that holds the reference it is given. */
  private file(buf: DmaBuf): File & { readonly buf: DmaBuf } {
    return { kind: "dma-buf", buf, release: () => this.put(buf) };
  }

  *#sync(buf: DmaBuf, flags: number): Op<void> {
    const access = flags & DMA_BUF_SYNC.RW;
    if ((flags & ~7) !== 0 || access === 0)
      throw this.error("EINVAL", "ioctl", `flags ${flags}: READ (1), WRITE (2) or both, and END (4)`, { flags });
    const direction = access === 3 ? "bidirectional" : access === 1 ? "from-device" : "to-device";
    if ((flags & DMA_BUF_SYNC.END) !== 0) yield* this.endAccess(buf, direction);
    else yield* this.beginAccess(buf, direction);
  }

  /** Is there a fence to wait for? Then its signal wakes, and until then the buffer has one more reference. */
  #arm(own: OwnedBuf, direction: PollDirection, wake: () => void): boolean {
    const first = own.resv.forEachUnlocked(usageRw(direction === "out")).next();
    if (!first) return false;
    own.polls[direction] = true;
    this.get(own);
    first.fence.addCallback({
      run: () => {
        own.polls[direction] = false;
        wake();
        // The last reference may sleep; a fence's callback must not.
        this.scheduler.spawn("fput", this.put(own));
      },
    });
    return true;
  }
}
