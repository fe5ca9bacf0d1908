/** A fence behind an fd. Linux: `struct sync_file`. */
import { type DmaBuf, type DmaFence, type Env, type FenceCallback, type Op, usageRw, Usage } from "@dma-buf/core";
import type { DmaBufFiles, FdTable, File, IoctlHandler } from "@dma-buf/file";
import { fenceRows } from "./rows.js";
import { getSingleton } from "./singleton.js";
import { stubFence } from "./stub.js";
import { leaves, mergeFences } from "./unwrap.js";

/** A file that holds a reference to its fence. */
export interface SyncFile extends File {
  readonly kind: "sync_file";
  readonly fence: DmaFence;
  readonly name: string;
  /** Of whoever polled; taken back when the file is closed. */
  readonly polls: FenceCallback[];
}

/** What `SYNC_IOC_FILE_INFO` tells of one fence. */
export interface FenceInfo {
  readonly timeline: string;
  readonly driver: string;
  /** 0 active, 1 done, negative: an errno. */
  readonly status: number;
  /** Modelled ticks. */
  readonly timestamp: number;
}

/** What `SYNC_IOC_FILE_INFO` tells. */
export interface SyncFileInfo {
  readonly name: string;
  readonly status: number;
  readonly numFences: number;
  readonly fences: readonly FenceInfo[];
}

/**
 * Commands of a dma-buf's fd that this package adds. Linux: `include/uapi/linux/dma-buf.h`.
 * @example
 * const files = new DmaBufFiles(framework, { ioctls: syncFileIoctls });
 * const buf = framework.export({ exporterName: "x", ops, sizeBytes: 4096, priv: {} });
 * scheduler.complete("export", files.ioctl(buf, SYNC_FILE_IOCTL.EXPORT, { flags: 1 })); // 0
 */
export const SYNC_FILE_IOCTL = { EXPORT: 0xc0086202, IMPORT: 0x40086203 } as const;

/** The arguments that must be 0. */
export interface Reserved {
  readonly flags?: number;
  readonly pad?: number;
}

/**
 * Takes a reference to `fence`. The default name is `<driver>-<timeline><context>-<seqno>`.
 * @example
 * createSyncFile(first, "done").name; // "done"
 */
export function createSyncFile(fence: DmaFence, name?: string): SyncFile {
  fence.get();
  const polls: FenceCallback[] = [];
  return {
    kind: "sync_file",
    fence,
    name: name ?? `${fence.driverName}-${fence.timelineName}${fence.context}-${fence.seqno}`,
    polls,
    *release() {
      if (!fence.signaledFlag) for (const poll of polls) fence.removeCallback(poll);
      fence.put();
    },
  };
}

/**
 * Is `file` a sync file?
 * @example
 * isSyncFile(createSyncFile(first)); // true
 */
export function isSyncFile(file: File | null): file is SyncFile {
  return file?.kind === "sync_file";
}

/**
 * `SYNC_IOC_MERGE`: a new fd for the fences of `file` and of the sync file at `fd2`. Checks in the kernel's order.
 * @throws DmaBufError `EMFILE`, `EINVAL`, `ENOENT`, `ENOMEM`; the reserved fd is given back.
 * @example
 * const file = createSyncFile(first);
 * const fd = fds.reserve();
 * fds.install(fd, createSyncFile(second));
 * syncFileMerge(env, fds, file, fd, "both"); // 1
 */
export function syncFileMerge(
  env: Env,
  fds: FdTable,
  file: SyncFile,
  fd2: number,
  name: string,
  reserved: Reserved = {},
): number {
  const row = fenceRows.syncMerge;
  return withFd(env, fds, row, (fd) => {
    if (reserved.flags || reserved.pad)
      throw env.error("EINVAL", row, "flags and pad must be 0: set them so", { ...reserved });
    const other = fds.get(fd2);
    if (!isSyncFile(other)) throw env.error("ENOENT", row, `fd ${fd2} is no sync file: give one`);
    env.alloc(row);
    const fence = mergeFences(env, [file.fence, other.fence]);
    fds.install(fd, createSyncFile(fence, name));
    fence.put();
  });
}

/**
 * `SYNC_IOC_FILE_INFO`. `room` is for how many fences there is place: 0 asks for count and status alone.
 * @throws DmaBufError `EINVAL` for too little room, or reserved fields that are not 0.
 * @example
 * syncFileInfo(createSyncFile(first), 0).numFences; // 1
 */
export function syncFileInfo(file: SyncFile, room: number, reserved: Reserved = {}): SyncFileInfo {
  const { fence, name } = file;
  const bad = (rule: string): never => {
    throw fence.env.error("EINVAL", fenceRows.syncInfo, rule, { room, ...reserved });
  };
  if (reserved.flags || reserved.pad) bad("flags and pad must be 0: set them so");
  const all = [...leaves(fence)];
  if (room > 0 && room < all.length) bad(`room for ${room} of ${all.length} fences: ask with 0 for the count first`);
  if (room === 0) return { name, status: fence.status, numFences: all.length, fences: [] };
  const fences = all.map(info);
  // The first that is not done well decides.
  const status = fences.find((f) => f.status <= 0)?.status ?? 1;
  return { name, status, numFences: all.length, fences };
}

/**
 * `SYNC_IOC_SET_DEADLINE`. @throws DmaBufError `EINVAL` when `pad` is not 0
 * @example
 * syncFileDeadline(createSyncFile(first), 100);
 */
export function syncFileDeadline(file: SyncFile, at: number, pad = 0): void {
  if (pad !== 0) throw file.fence.env.error("EINVAL", fenceRows.syncDeadline, `pad ${pad} must be 0: set it so`);
  file.fence.setDeadline(at);
}

/**
 * poll(2): is it signalled? If not, `wake` is called when it does.
 * @example
 * let woken = false;
 * syncFilePoll(createSyncFile(first), () => (woken = true)); // false
 * first.signal();
 * woken; // true
 */
export function syncFilePoll(file: SyncFile, wake: () => void): boolean {
  file.fence.enableSignaling();
  if (file.fence.signaled) return true;
  const callback = { run: wake };
  file.fence.addCallback(callback);
  file.polls.push(callback);
  return false;
}

/**
 * Handlers for `DmaBufFilesOptions.ioctls`. EXPORT takes `{ flags }` and gives an fd; IMPORT takes `{ flags, fd }`.
 * `flags`: READ (1), WRITE (2) or both. With WRITE, EXPORT gives what a writer waits for, and IMPORT adds as a writer.
 * @example
 * const files = new DmaBufFiles(framework, { ioctls: syncFileIoctls });
 */
export const syncFileIoctls: ReadonlyMap<number, IoctlHandler> = new Map<number, IoctlHandler>([
  [SYNC_FILE_IOCTL.EXPORT, exportSyncFile],
  [SYNC_FILE_IOCTL.IMPORT, importSyncFile],
]);

function exportSyncFile({ framework: { env }, fds }: DmaBufFiles, buf: DmaBuf, arg: unknown): number {
  const row = fenceRows.exportSyncFile;
  const flags = checkFlags(env, row, arg);
  return withFd(env, fds, row, (fd) => {
    const fence = getSingleton(buf.resv, usageRw((flags & 2) !== 0)) ?? stubFence(env);
    try {
      env.alloc(row);
      fds.install(fd, createSyncFile(fence));
    } finally {
      fence.put();
    }
  });
}

function* importSyncFile({ framework: { env }, fds }: DmaBufFiles, buf: DmaBuf, arg: unknown): Op<void> {
  const row = fenceRows.importSyncFile;
  const flags = checkFlags(env, row, arg);
  const { fd } = arg as { fd: number };
  const file = fds.get(fd);
  if (!isSyncFile(file)) throw env.error("EINVAL", row, `fd ${fd} is no sync file: give one`);
  // References of its own: the file may be closed while this waits for the lock.
  const fences = Array.from(leaves(file.fence), (fence) => fence.get());
  try {
    if (fences.length === 0) return;
    using held = yield* buf.resv.lock();
    env.alloc(row);
    buf.resv.reserveFences(held, fences.length);
    for (const fence of fences) buf.resv.addFence(held, fence, (flags & 2) === 0 ? Usage.READ : Usage.WRITE);
  } finally {
    for (const fence of fences) fence.put();
  }
}

function checkFlags(env: Env, row: (typeof fenceRows)["exportSyncFile"], arg: unknown): number {
  const flags = (arg as { flags?: unknown } | null)?.flags;
  if (typeof flags !== "number") throw env.error("EFAULT", row, "the argument cannot be read: give a valid pointer");
  if ((flags & ~3) !== 0 || flags === 0)
    throw env.error("EINVAL", row, `flags ${flags}: READ (1), WRITE (2) or both`, { flags });
  return flags;
}

/** A new fd that `fill` installs a file into; given back if that is refused. */
function withFd(env: Env, fds: FdTable, row: (typeof fenceRows)["syncMerge"], fill: (fd: number) => void): number {
  const fd = fds.reserve();
  if (fd === null) throw env.error("EMFILE", row, "the file table is full: close an fd");
  try {
    fill(fd);
    return fd;
  } catch (error) {
    fds.unreserve(fd);
    throw error;
  }
}

function info(fence: DmaFence): FenceInfo {
  return { timeline: fence.timelineName, driver: fence.driverName, status: fence.status, timestamp: fence.timestamp };
}
