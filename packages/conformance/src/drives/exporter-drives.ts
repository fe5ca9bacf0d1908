/** What is done with an exporter to see whether it keeps the rules: one short life each, in a fresh world. */
import type { DmaBuf, Op } from "@dma-buf/core";
import type { ExporterWorld } from "../world.js";
import { frames, mappedFromSecond } from "./frames.js";
import { mappedStatically, mappedTwice, used } from "./maps.js";
import { moved, movedPinned } from "./moved.js";
import { offers } from "./offers.js";
import { revoked } from "./revoked.js";

/** Every drive gets a buffer that was just exported, and its last reference is put behind it: release is part of each. */
export const exporterDrives: readonly ((world: ExporterWorld, buf: DmaBuf) => Op<void>)[] = [
  used,
  mappedTwice,
  revoked,
  moved,
  movedPinned,
  mappedStatically,
  frames,
  offers,
  mappedFromSecond,
];
