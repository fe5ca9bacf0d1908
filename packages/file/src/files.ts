import { type DmaBuf, type Framework, isThenable, type MaySleep, type Op, perform } from "@dma-buf/core";
import { FdTable, type File } from "./fd-table.js";
import { DMA_BUF_IOCTL, DMA_BUF_SYNC, NAME_BYTES_MAX, SYNC_FLAGS } from "./ioctl.js";
import { armPoll, type PollDirection } from "./poll.js";

/** An ioctl that another package adds: `arg` is what userspace gave, `null` what cannot be read. */
export type IoctlHandler = (files: DmaBufFiles, buf: DmaBuf, arg: unknown) => MaySleep<unknown>;

/** A process, and what its kernel was built with. */
export interface DmaBufFilesOptions {
  /** @defaultValue one with room for 1024 */
  readonly fds?: FdTable;
  /** By command number: sync files, for one. Without it those answer `ENOTTY`, as without `CONFIG_SYNC_FILE`. */
  readonly ioctls?: ReadonlyMap<number, IoctlHandler>;
}

interface BufFile extends File {
  readonly buf: DmaBuf;
}

/**
 * The files of one process on the buffers of one framework; another process is another one. What each call may answer is in the contract's rows.
 * @example
 * const fd = files.fd(buf);
 * files.getByFd(fd) === buf; // true
 * yield* framework.put(buf);
 * yield* files.fds.close(fd);
 */
export class DmaBufFiles {
  readonly framework: Framework;
  readonly fds: FdTable;
  readonly #ioctls: ReadonlyMap<number, IoctlHandler>;

  constructor(framework: Framework, options: DmaBufFilesOptions = {}) {
    this.framework = framework;
    this.fds = options.fds ?? new FdTable();
    this.#ioctls = options.ioctls ?? new Map();
  }

  /**
   * Puts the buffer into the file table: the caller's reference is the fd's from now on.
   * @throws DmaBufError `EINVAL` without a buffer; `EMFILE` when the table is full: the caller keeps its reference.
   */
  fd(buf: DmaBuf): number {
    const { framework } = this;
    if (!buf) throw framework.error("EINVAL", "fd", "no buffer: export one");
    framework.enter("fd", buf);
    const fd = this.fds.reserve();
    if (fd === null)
      throw framework.error("EMFILE", "fd", "the file table is full: close an fd; the reference is still yours");
    this.#install(buf, fd);
    return fd;
  }

  /** As {@link fd}, into one that was reserved before. Linux 7.3: `dma_buf_fd_install()`. */
  fdInstall(buf: DmaBuf, fd: number): void {
    this.framework.enter("fdInstall", buf);
    this.#install(buf, fd);
  }

  /** The buffer behind `fd`, with a reference. @throws DmaBufError `EBADF` when it is closed, `EINVAL` for another file */
  getByFd(fd: number): DmaBuf {
    const { framework } = this;
    const file: Partial<BufFile> | null = this.fds.get(fd);
    if (!file) throw framework.error("EBADF", "getByFd", `fd ${fd} is not open: open it first`);
    const { buf, kind } = file;
    if (!buf) throw framework.error("EINVAL", "getByFd", `fd ${fd} is a ${kind}: give a dma-buf's`);
    framework.enter("getByFd", buf);
    framework.get(buf);
    framework.event("dma_buf_get", buf, ` fd=${fd}`);
    return buf;
  }

  /** lseek(2). `whence`: 0 `SEEK_SET`, 2 `SEEK_END`. Tells the size, bytes, or 0. @throws DmaBufError `EINVAL` */
  llseek(buf: DmaBuf, offset: number, whence: number): number {
    const bad = (rule: string): Error => this.framework.error("EINVAL", "llseek", rule, { offset, whence });
    this.framework.enter("llseek", buf);
    if (whence !== 0 && whence !== 2) throw bad(`whence ${whence}: SEEK_SET (0) or SEEK_END (2) only`);
    if (offset !== 0) throw bad(`offset ${offset}: 0 only`);
    return whence === 2 ? buf.sizeBytes : 0;
  }

  /**
   * poll(2). Ready to read: no KERNEL or WRITE fence is left; ready to write: no READ fence either. Where it is not
   * ready, one fence's callback wakes all who polled for that direction; then ask again, another fence may be left.
   */
  *poll(buf: DmaBuf, wanted: readonly PollDirection[], wake: () => void): Op<PollDirection[]> {
    this.framework.enter("poll", buf);
    using _held = yield* buf.resv.lock();
    return (["out", "in"] as const).filter((d) => wanted.includes(d) && !armPoll(this.framework, buf, d, wake));
  }

  /**
   * ioctl(2) on the buffer's fd. `arg`: `{ flags }` for `SYNC`, the text for `SET_NAME`; `null` cannot be read.
   * @throws DmaBufError `EFAULT`, `EINVAL`, `ENOTTY`, or `ERESTARTSYS` while waiting for fences.
   */
  *ioctl(buf: DmaBuf, command: number, arg: unknown): Op<unknown> {
    this.framework.enter("ioctl", buf);
    const added = this.#ioctls.get(command);
    if (added) return yield* settled(command, added(this, buf, arg));
    if (command === DMA_BUF_IOCTL.SYNC) return yield* this.#sync(buf, arg);
    if (command === DMA_BUF_IOCTL.SET_NAME_A || command === DMA_BUF_IOCTL.SET_NAME_B) return this.#setName(buf, arg);
    throw this.#bad("ENOTTY", `command ${command} is none of a dma-buf's: SYNC or SET_NAME`);
  }

  #install(buf: DmaBuf, fd: number): void {
    const { framework } = this;
    framework.event("dma_buf_fd", buf, ` fd=${fd}`);
    const file: BufFile = { kind: "dma-buf", buf, release: () => framework.fput(buf) };
    this.fds.install(fd, file);
  }

  #setName(buf: DmaBuf, name: unknown): void {
    if (typeof name !== "string") throw this.#bad("EFAULT", "the name cannot be read: give a valid pointer");
    if (new TextEncoder().encode(name).length >= NAME_BYTES_MAX)
      throw this.#bad("EINVAL", `the name ${name} has ${NAME_BYTES_MAX} bytes or more: shorten it`);
    buf.name = name;
  }

  *#sync(buf: DmaBuf, arg: unknown): Op<void> {
    const flags = (arg as { flags?: unknown } | null)?.flags;
    if (typeof flags !== "number") throw this.#bad("EFAULT", "the argument cannot be read: give a valid pointer");
    // 64 bits in the kernel: the bit operators of this language would cut them.
    const known = Number.isInteger(flags) && flags >= 0 && flags <= SYNC_FLAGS;
    const access = flags & DMA_BUF_SYNC.RW;
    if (!known || access === 0) throw this.#bad("EINVAL", `flags ${flags}: READ (1), WRITE (2) or both, and END (4)`);
    const direction = access === 3 ? "bidirectional" : access === 1 ? "from-device" : "to-device";
    if ((flags & DMA_BUF_SYNC.END) !== 0) yield* this.framework.endAccess(buf, direction);
    else yield* this.framework.beginAccess(buf, direction);
  }

  #bad(code: "EFAULT" | "EINVAL" | "ENOTTY", rule: string): Error {
    return this.framework.error(code, "ioctl", rule);
  }
}

function settled(command: number, result: MaySleep<unknown>): Op<unknown> {
  if (isThenable(result)) throw new TypeError(`ioctl ${command} returned a Promise: return a value or a generator`);
  return perform(result);
}
