/** Slots over a buffer, without the bookkeeping of ids, fds and addresses that a VMM has. */
import { type DmaBuf, type Gpa, isPageAligned, type Op, PAGE_SIZE } from "@dma-buf/core";
import type { ProcessFiles } from "./process-files.js";
import type { ProcessMemory } from "./process-memory.js";
import { invalid, USER_MEM_SLOTS } from "./region.js";
import { needObject } from "./shape.js";
import type { SlotTable } from "./slots.js";
import { isU32, KVM_MEM, type UserMemoryRegion } from "./uapi.js";

/** Bytes of a buffer as guest memory. */
export interface Memslot {
  readonly gpa: Gpa;
  /** Bytes. */
  readonly sizeBytes: number;
  readonly buf: DmaBuf;
  /** Where in the buffer the slot begins, bytes. */
  readonly offset: number;
  /** More flags: `KVM_MEM.READONLY`. @defaultValue 0 */
  readonly flags?: number;
}

/** What a slot for a buffer is over: the buffer itself, or a mapping of it in the process. */
export type SlotOver = "buffer" | "mapping";

export interface BufferSlotsInit {
  readonly over: SlotOver;
  readonly slots: SlotTable;
  readonly process: ProcessMemory;
  readonly files: ProcessFiles;
  readonly set: (region: UserMemoryRegion) => Op<void>;
}

const GIB = 2 ** 30;

export class BufferSlots {
  readonly #init: BufferSlotsInit;
  /** Where the process has a slot's buffer mapped. */
  readonly #mapped = new Map<number, number>();
  readonly #making = new Set<number>();
  #next = 0;

  constructor(init: BufferSlotsInit) {
    this.#init = init;
  }

  /** @returns the slot's id */
  *add(memslot: Memslot): Op<number> {
    checkMemslot(memslot);
    const id = this.#freeId();
    this.#making.add(id);
    try {
      if (this.#init.over === "mapping") yield* this.#overMapping(id, memslot);
      else yield* this.#overBuffer(id, memslot);
      this.#next = (id + 1) % USER_MEM_SLOTS;
      return id;
    } finally {
      this.#making.delete(id);
    }
  }

  *remove(id: number): Op<void> {
    const { process, set } = this.#init;
    yield* set({ slot: id, flags: 0, guestPhysAddr: 0n, memorySize: 0n, userspaceAddr: 0n });
    const hva = this.#mapped.get(id);
    this.#mapped.delete(id);
    if (hva !== undefined) yield* process.discard(hva);
  }

  /** Round and round, past slots that are being made. If all are taken, one that is refused. */
  #freeId(): number {
    for (let n = 0; n < USER_MEM_SLOTS; n++) {
      const id = (this.#next + n) % USER_MEM_SLOTS;
      if (!this.#making.has(id) && !this.#init.slots.byId(0, id)) return id;
    }
    return USER_MEM_SLOTS;
  }

  /** The fd is open as long as the ioctl needs it: the slot keeps the buffer. */
  *#overBuffer(id: number, { gpa, sizeBytes, buf, offset, flags = 0 }: Memslot): Op<void> {
    const { files, set } = this.#init;
    const guestMemfd = files.installBuffer(buf);
    try {
      yield* set({
        // Nothing is mapped there, but only an address that is congruent leaves the slot its large pages.
        ...placed(id, { gpa, sizeBytes }, gpa % GIB),
        // What is no u32 is refused as it is.
        flags: isU32(flags) ? KVM_MEM.VFIO_DMABUF | flags : flags,
        guestMemfd,
        guestMemfdOffset: BigInt(offset),
      });
    } finally {
      files.remove(guestMemfd);
    }
  }

  *#overMapping(id: number, memslot: Memslot): Op<void> {
    const { process, set } = this.#init;
    const { buf, offset, sizeBytes, flags = 0 } = memslot;
    const hva = process.freeAt(memslot.gpa, sizeBytes);
    yield* process.mapBuffer(hva, buf, offset, sizeBytes);
    try {
      yield* set({ ...placed(id, memslot, hva), flags });
    } catch (error) {
      yield* process.discard(hva);
      throw error;
    }
    this.#mapped.set(id, hva);
  }
}

/** What the ioctl would say of its own fields, said of these. */
function checkMemslot({ sizeBytes, buf, offset }: Memslot): void {
  needObject(buf, "buf", "the DmaBuf that export() gave");
  if (sizeBytes === 0)
    invalid("sizeBytes 0 is no slot: give whole pages, or delete one with removeMemslot()", { sizeBytes });
  if (!Number.isSafeInteger(offset) || offset < 0 || !isPageAligned(offset))
    invalid(`offset ${offset} is no page of a buffer: give a multiple of ${PAGE_SIZE} from 0 on`, { offset });
}

function placed(id: number, { gpa, sizeBytes }: Pick<Memslot, "gpa" | "sizeBytes">, hva: number) {
  return {
    slot: id,
    guestPhysAddr: whole("gpa", gpa),
    memorySize: whole("sizeBytes", sizeBytes),
    userspaceAddr: whole("userspace_addr", hva),
  };
}

function whole(name: string, value: number): bigint {
  if (!Number.isInteger(value)) invalid(`${name} ${value} is no whole number: give bytes`, { [name]: value });
  return BigInt(value);
}
