/** Who may be at a buffer at the same time: importers of every class, liars among them, the driver, and the CPU. */
import { classesOf, classImporter, type ImporterClass } from "@dma-buf/conformance";
import { BugSignal, DmaBufError, type DmaBuf, type DmaBufAttachment, type Held, type Op } from "@dma-buf/core";
import { point, type Run } from "@dma-buf/core";
import { expect } from "vitest";
import { PAGE, type Rig } from "./rig.js";
import type { BufferObject } from "../index.js";

export type Lie = "throws" | "maps" | "pins" | "keeps";
export type Actor =
  | { readonly kind: "importer"; readonly nth: number; readonly uses: number }
  | { readonly kind: "liar"; readonly lie: Lie }
  | { readonly kind: "driver"; readonly steps: readonly ("vram" | "gtt" | "pin" | "unpin")[] }
  | { readonly kind: "cpu"; readonly steps: readonly ("read" | "write" | "vmap")[] }
  | { readonly kind: "lose" | "remove" };

/** One actor, from the first step to the last; it gives its reference back. `taken`: somebody takes the memory away. */
export function* acts(
  r: Rig,
  { bo, buf }: { bo: BufferObject; buf: DmaBuf },
  one: Actor,
  index: number,
  taken: boolean,
): Op<void> {
  if (one.kind === "lose") return yield* r.exporter.lose(bo);
  if (one.kind === "remove") return yield* r.exporter.remove();
  if (one.kind === "importer") yield* imports(r, buf, one, index, taken);
  else if (one.kind === "liar") yield* lies(r, buf, one.lie);
  else if (one.kind === "cpu") for (const step of one.steps) yield* tried(cpu(r, buf, step));
  else if (one.kind === "driver") yield* drives(r, bo, one.steps);
  yield* r.fw.put(buf);
}

function* drives(r: Rig, bo: BufferObject, steps: readonly ("vram" | "gtt" | "pin" | "unpin")[]): Op<void> {
  let pins = 0;
  for (const step of steps) {
    if (step === "pin") pins += Number(yield* tried(r.exporter.pin(bo)));
    else if (step !== "unpin") yield* tried(r.exporter.move(bo, step));
    else if (pins > 0) {
      pins--;
      yield* r.exporter.unpin(bo);
    }
  }
  for (; pins > 0; pins--) yield* r.exporter.unpin(bo);
}

function* cpu(r: Rig, buf: DmaBuf, step: "read" | "write" | "vmap"): Op<void> {
  if (step === "vmap") {
    const map = yield* r.fw.vmapBufferUnlocked(buf);
    yield* point("cpu");
    return yield* r.fw.vunmapBufferUnlocked(buf, map);
  }
  const direction = step === "read" ? "from-device" : "to-device";
  yield* r.fw.beginAccess(buf, direction);
  yield* r.fw.endAccess(buf, direction);
}

/** Each has a word of each page to itself: what it finds there is what it wrote last. */
function* imports(
  r: Rig,
  buf: DmaBuf,
  { nth, uses }: { nth: number; uses: number },
  index: number,
  taken: boolean,
): Op<void> {
  const classes = classesOf(r.fw.contract).filter((name) => able(name, taken));
  const wrote = new Map<number, number>();
  let value = 0;
  const arrived = ({ run }: { run: Run }): void => {
    for (let page = 0; page < run.sizeBytes; page += PAGE) {
      const at = run.offset + page;
      const word = wordAt(r, run, page + index * 8);
      expect(word.read()).toBe(wrote.get(at) ?? 0);
      wrote.set(at, ++value);
      word.write(value);
    }
  };
  const importer = classImporter(classes[nth % classes.length] ?? "zap", { framework: r.fw, arrived });
  if (!(yield* tried(importer.attach(buf, r.device)))) return;
  for (let n = 0; n < uses; n++) yield* tried(importer.use());
  yield* importer.close();
}

/**
 * Who cannot be told goes on with what was taken away: that is the contract's, not the exporter's.
 */
function able(name: ImporterClass, taken: boolean): boolean {
  return !(taken && (name === "pinned" || name === "static"));
}

/** With the IOMMU off and no bus offset, every address but the fabric's is the CPU's. */
function wordAt(r: Rig, run: Run, offset: number): { read(): number; write(value: number): void } {
  const fabric = run.kind === "device-private" ? (r.memory.fabric?.base ?? 0) : null;
  const at = run.address + offset - (fabric ?? 0);
  const domain = fabric === null ? "gtt" : "vram";
  return {
    read: () => r.memory.read(domain, at, 1)[0] as number,
    write: (value) => r.memory.write(domain, at, Uint8Array.of(value)),
  };
}

function* lies(r: Rig, buf: DmaBuf, lie: Lie): Op<void> {
  const told = (at: DmaBufAttachment, held: Held): Op<void> | void => {
    if (lie === "throws") throw new Error("told to");
    if (lie === "maps" && r.fw.contract.rows.mapAttachment) return mapsOnce(r, at, held);
    if (lie === "pins" && r.fw.contract.rows.pinAttachment) return pinsOnce(r, at, held);
  };
  const importer = { name: "liar", ops: { allowPeer2peer: true, invalidateMappings: told } };
  yield* tried(
    (function* () {
      const at = yield* r.fw.dynamicAttach(buf, r.device, importer);
      if (r.fw.contract.rows.mapAttachment) yield* tried(kept(r, at));
      yield* r.fw.detachAttachment(buf, at);
    })(),
  );
}

function* kept(r: Rig, at: DmaBufAttachment): Op<void> {
  const table = yield* r.fw.mapAttachmentUnlocked(at, "bidirectional");
  for (let n = 0; n < 5; n++) yield* point("liar");
  yield* r.fw.unmapAttachmentUnlocked(at, table, "bidirectional");
}

function* mapsOnce(r: Rig, at: DmaBufAttachment, held: Held): Op<void> {
  yield* r.fw.unmapAttachment(at, yield* r.fw.mapAttachment(at, "to-device", held), "to-device", held);
}

function* pinsOnce(r: Rig, at: DmaBufAttachment, held: Held): Op<void> {
  yield* r.fw.pinAttachment(at, held);
  yield* r.fw.unpinAttachment(at, held);
}

/** Was it done, rather than refused? Anything else that is thrown goes on. */
export function* tried(op: Op<unknown>): Op<boolean> {
  try {
    yield* op;
    return true;
  } catch (error) {
    onlyRefused(error);
    return false;
  }
}

/** What is no refusal goes on. */
export function onlyRefused(error: unknown): void {
  if (!(error instanceof DmaBufError || error instanceof BugSignal)) throw error;
}

export function noIova(): never {
  throw new DmaBufError("ENOMEM", { op: "dma_map_phys", stage: "map", message: "told to fail" });
}
