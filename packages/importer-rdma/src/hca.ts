/** The device's side: a request finds its key, its translation, and sends DMA to what that says. */
import { type AccessResult, addr, type DmaAddr, type DmaBufError, type Op, point } from "@dma-buf/core";
import type { RdmaResult, RdmaTarget } from "./importer.js";
import type { Mkey, Side } from "./mkey.js";
import { checkObject, refusal } from "./refuse.js";

const SIDES: readonly Side[] = ["local", "remote"];

/** What the device asks of its driver. */
export interface HcaDriver {
  /** Is what bounces the driver's to sync? */
  readonly syncs: boolean;
  /** The device found no translation: what the driver cannot do about it; `null`: look again. */
  fault(mkey: Mkey): Op<DmaBufError | null>;
}

type Access =
  | { readonly kind: "write"; readonly bytes: Uint8Array }
  | { readonly kind: "read"; readonly sizeBytes: number };

export class Hca {
  readonly #driver: HcaDriver;
  readonly #mkeys = new Map<number, Mkey>();

  constructor(driver: HcaDriver) {
    this.#driver = driver;
  }

  get keys(): number {
    return this.#mkeys.size;
  }

  add(mkey: Mkey): void {
    this.#mkeys.set(mkey.key, mkey);
  }

  remove(mkey: Mkey): void {
    this.#mkeys.delete(mkey.key);
  }

  *write(to: RdmaTarget, bytes: Uint8Array): Op<RdmaResult> {
    if (!(bytes instanceof Uint8Array))
      throw refusal("EINVAL", "ib_post_send", "the bytes are no Uint8Array: give one");
    checkPlace(to, bytes.length);
    if (bytes.length === 0) return { kind: "done", bytes };
    for (let at = 0; ; ) {
      const { result, sizeBytes } = yield* this.#piece(
        to,
        at,
        { kind: "write", bytes: bytes.subarray(at) },
        bytes.length,
      );
      at += sizeBytes;
      if (result.kind !== "done" || at >= bytes.length) return result;
    }
  }

  *read(from: RdmaTarget, sizeBytes: number): Op<RdmaResult> {
    checkPlace(from, sizeBytes);
    if (sizeBytes === 0) return { kind: "done", bytes: new Uint8Array(0) };
    let all: Uint8Array | null = null;
    for (let at = 0; ; ) {
      const piece = yield* this.#piece(from, at, { kind: "read", sizeBytes: sizeBytes - at }, sizeBytes);
      if (piece.result.kind !== "done") return piece.result;
      // Not before it is known that the region has so many.
      all ??= new Uint8Array(sizeBytes);
      all.set(piece.result.bytes, at);
      at += piece.sizeBytes;
      if (at >= sizeBytes) return { kind: "done", bytes: all };
    }
  }

  /** One page of a request of `whole` bytes: looked up, faulted in if need be, sent. */
  *#piece(
    target: RdmaTarget,
    at: number,
    access: Access,
    whole: number,
  ): Op<{ result: RdmaResult; sizeBytes: number }> {
    const { key, iova, side = "remote" } = target;
    for (;;) {
      yield* point("rdma.look_up");
      const mkey = this.#mkeys.get(key);
      const why = mkey ? mkey.whyNot(iova, whole, access.kind, side) : `no key ${key}: register first`;
      if (!mkey || why) return { result: protection(side, why as string, null), sizeBytes: 0 };
      const found = mkey.look(iova + at);
      if (found) {
        const wanted = access.kind === "write" ? access.bytes.length : access.sizeBytes;
        const sizeBytes = Math.min(found.leftBytes, wanted);
        return { result: yield* this.#send(mkey, found.address, access, sizeBytes), sizeBytes };
      }
      const cause = yield* this.#driver.fault(mkey);
      if (cause) return { result: protection(side, cause.message, cause), sizeBytes: 0 };
    }
  }

  /** From here to the end the request is in flight. */
  *#send(mkey: Mkey, address: DmaAddr, access: Access, sizeBytes: number): Op<AccessResult> {
    const { issuer } = mkey;
    const dma = this.#driver.syncs ? issuer.dma : null;
    mkey.inFlight++;
    try {
      if (access.kind === "write") {
        const result = yield* issuer.write(address, access.bytes.subarray(0, sizeBytes));
        dma?.syncForCpu?.(address, sizeBytes);
        return result;
      }
      dma?.syncForDevice?.(address, sizeBytes);
      return yield* issuer.read(addr<DmaAddr>(address), sizeBytes);
    } finally {
      mkey.inFlight--;
    }
  }
}

function checkPlace(target: RdmaTarget, sizeBytes: number): void {
  checkObject("the place", target, "ib_post_send");
  const { iova, side = "remote" } = target;
  if (!SIDES.includes(side))
    throw refusal("EINVAL", "ib_post_send", `no side is called ${side}: give ${SIDES.join(", ")}`, { side });
  for (const [name, value] of Object.entries({ iova, sizeBytes }))
    if (!Number.isSafeInteger(value) || value < 0)
      throw refusal("EINVAL", "ib_post_send", `${name} ${value}: give whole bytes from 0`, { iova, sizeBytes });
}

function protection(side: Side, reason: string, cause: DmaBufError | null): RdmaResult {
  return { kind: "protection-error", status: side === "local" ? "LOC_PROT_ERR" : "REM_ACCESS_ERR", reason, cause };
}
