/**
 * What is built of fences: arrays, chains, looking through them and merging, timelines, sync files.
 *
 * @packageDocumentation
 */
export { type ArrayOptions, arrayMembers, createFenceArray } from "./array.js";
export { type ChainNode, chainNode, chainWalk, createFenceChain, findSeqno } from "./chain.js";
export { type FenceCall, fenceRows } from "./rows.js";
export { getSingleton } from "./singleton.js";
export { privateStub, stubFence } from "./stub.js";
export {
  createSyncFile,
  type FenceInfo,
  isSyncFile,
  type Reserved,
  SYNC_FILE_IOCTL,
  type SyncFile,
  syncFileDeadline,
  type SyncFileInfo,
  syncFileInfo,
  syncFileIoctls,
  syncFileMerge,
  syncFilePoll,
} from "./sync-file.js";
export { Timeline } from "./timeline.js";
export { dedupFences, leaves, mergeFences } from "./unwrap.js";
export { type AnyResult, laterFence, waitAny } from "./wait.js";
