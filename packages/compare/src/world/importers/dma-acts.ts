/** What a device does through whoever mapped for it: one buffer, or slices of it side by side. */
import { addr, type DmaAddr, type DmaBuf, type Op } from "@dma-buf/core";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { type accessActions, accessActs } from "../access.js";
import { type Acts, NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";
import type { IoMapper, IoRange } from "./io-mapper.js";

/** The VMM puts the buffer here. */
export const IOVA_BASE = 0x10_0000_0000;

/** The buffer, or a part of it. `iova`: where the buffer's first byte is, mapped or not. */
export const importArgs = v.strictObject({
  buffer: v.optional(v.string(), "buffer"),
  offset: v.optional(size, 0),
  bytes: v.optional(size),
  iova: v.optional(size, IOVA_BASE),
});

/** A mapper, and what was imported by it last. */
export class DmaActs {
  readonly mapper: IoMapper;
  readonly access: Acts<typeof accessActions>;
  readonly #stage: Stage;
  #buffer = "buffer";
  #base = IOVA_BASE;
  #range: IoRange | null = null;

  constructor(stage: Stage, mapper: IoMapper) {
    this.mapper = mapper;
    this.#stage = stage;
    const { device } = mapper;
    const iova = (offset: number): DmaAddr => addr<DmaAddr>(this.#base + offset);
    this.access = accessActs(stage, {
      name: mapper.name,
      buffer: () => this.#buffer,
      write: (offset, bytes) => device.write(iova(offset), bytes),
      read: (offset, sizeBytes) => device.read(iova(offset), sizeBytes),
      via: (offset) => `IOVA 0x${iova(offset).toString(16)}`,
    });
  }

  /** @throws NotApplicable nothing was imported */
  get range(): IoRange {
    if (!this.#range) throw new NotApplicable("nothing was imported for the device");
    return this.#range;
  }

  /** What the buffer was exported as. */
  get buffer(): string {
    return this.#buffer;
  }

  get buf(): DmaBuf {
    return this.#stage.exported(this.#buffer).buf;
  }

  *import(what: v.InferOutput<typeof importArgs>): Op<void> {
    const { buf } = this.#stage.exported(what.buffer);
    yield* this.mapper.map(buf, this.place(what));
  }

  /** Accesses go there from now on. */
  place({ buffer, offset, bytes, iova }: v.InferOutput<typeof importArgs>): IoRange {
    [this.#buffer, this.#base] = [buffer, iova];
    const sizeBytes = bytes ?? this.buf.sizeBytes - offset;
    this.#range = { offset, sizeBytes, iova: addr<DmaAddr>(iova + offset) };
    return this.#range;
  }
}
