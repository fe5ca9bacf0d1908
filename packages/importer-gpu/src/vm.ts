/** An address space of the GPU. Linux: `struct amdgpu_vm`; its root directory's reservation is that of the whole table. */
import { type DmaFence, DmaResv, hex, type Op, Usage } from "@dma-buf/core";
import { amdgpuVm, createPageTable, type PageTable, type TableGather } from "@dma-buf/page-table";
import type { Content, ImportedBo } from "./buffer-object.js";
import { Exec } from "./exec.js";
import type { Gpu } from "./gpu.js";
import type { GpuVm, ImportedBuffer, VmRange } from "./importer.js";
import { refuse } from "./refuse.js";
import { GpuTlb } from "./tlb.js";
import { completed, entriesOf, type VmMapping } from "./vm-mapping.js";

/** How a buffer that the user names is known to be this driver's. @throws DmaBufError `ENOENT` */
export type Need = (bo: ImportedBuffer, op: string) => ImportedBo;

export class Vm implements GpuVm {
  readonly name: string;
  readonly root: DmaResv;
  readonly context: number;
  readonly table: PageTable;
  readonly tlb: GpuTlb;
  readonly mappings: Map<number, VmMapping> = new Map();
  /** Ranges whose buffer was invalidated, until a submission has looked at them. */
  readonly needsUpdate: Set<VmMapping> = new Set();
  /** Entries are being cleared by a job: nobody writes any before its fence has signalled. */
  clearing: DmaFence | null = null;
  destroyed = false;
  seqno = 0;
  readonly #gpu: Gpu;
  readonly #need: Need;
  readonly #onDestroy: (vm: Vm) => void;

  /** @throws DmaBufError `ENOMEM` */
  constructor(gpu: Gpu, number: number, need: Need, onDestroy: (vm: Vm) => void) {
    const { env } = gpu.fw;
    this.#gpu = gpu;
    this.#need = need;
    this.#onDestroy = onDestroy;
    this.name = `${gpu.name} vm${number}`;
    this.table = createPageTable(amdgpuVm, gpu.host.tables);
    this.root = new DmaResv(`resv(${this.name})`, env);
    this.context = env.allocContexts(1);
    gpu.contexts.add(this.context);
    this.tlb = new GpuTlb(this.table);
  }

  map(named: ImportedBuffer, range: VmRange): void {
    if (this.destroyed) refuse("ENOENT", "amdgpu_vm_bo_map", "map", `${this.name} was destroyed: make another`);
    const bo = this.#need(named, "amdgpu_vm_bo_map");
    const mapping = { ...completed(range, bo.sizeBytes), vm: this, bo, borrowed: null, isWritten: false };
    this.add(mapping);
    bo.mappings.add(mapping);
  }

  /** @throws DmaBufError `EINVAL` something is there */
  add(mapping: VmMapping): void {
    const end = mapping.va + mapping.sizeBytes;
    for (const other of this.mappings.values())
      if (other.va < end && mapping.va < other.va + other.sizeBytes)
        refuse("EINVAL", "amdgpu_vm_bo_map", "map", `${hex(other.va)} is mapped there already: unmap it first`);
    this.mappings.set(mapping.va, mapping);
  }

  *unmap(va: number): Op<void> {
    const mapping = this.mappings.get(va);
    if (!mapping) return refuse("ENOENT", "amdgpu_vm_bo_unmap", "map", `no range begins at ${hex(va)}: map one`);
    const exec = new Exec(this.#gpu.fw.env);
    try {
      yield* exec.lockAll([this.root, ...(mapping.bo ? [mapping.bo.buf.resv] : [])]);
      yield* this.settle();
      if (this.mappings.get(va) === mapping) yield* this.remove([mapping]);
    } finally {
      exec.fini();
    }
  }

  reaches(va: number): number | null {
    return this.tlb.peek(va);
  }

  *destroy(): Op<void> {
    if (this.destroyed) refuse("ENOENT", "amdgpu_vm_fini", "map", `${this.name} was destroyed: make another`);
    this.destroyed = true;
    yield* this.root.waitTimeout(Usage.BOOKKEEP);
    yield* this.remove([...this.mappings.values()]);
    this.table.destroy();
    this.root.fini();
    this.#onDestroy(this);
  }

  /** Waits for entries that are being cleared. */
  *settle(): Op<void> {
    if (this.clearing) yield* this.clearing.wait();
    this.clearing = null;
  }

  /** Writes the entries of a range. @throws DmaBufError what the page table refuses with; then none is written */
  write(mapping: VmMapping, content: Content): void {
    if (mapping.isWritten) return;
    mapping.isWritten = true;
    try {
      for (const { va, address, sizeBytes, protection } of entriesOf(mapping, content))
        this.table.map(va, address, sizeBytes, protection);
    } catch (error) {
      // Not seen by anybody yet: the job is not queued.
      this.#unwrite(mapping, []);
      throw error;
    }
  }

  /** Clears entries; in force when the flush is over. */
  *clear(mappings: readonly VmMapping[]): Op<void> {
    const tables: TableGather = [];
    const written = mappings.filter((m) => m.isWritten);
    for (const mapping of written) this.#unwrite(mapping, tables);
    if (written.length === 0) return;
    this.#gpu.fw.trace.emit("store", () => `${this.name}: ${written.length} range(s) cleared`);
    if (this.#gpu.options.flush ?? true) yield* this.tlb.flush();
    for (const table of tables) this.#gpu.host.tables.freeTable(table);
  }

  /** Takes ranges out of the address space. */
  *remove(mappings: readonly VmMapping[]): Op<void> {
    for (const mapping of mappings) {
      this.mappings.delete(mapping.va);
      this.needsUpdate.delete(mapping);
      mapping.bo?.mappings.delete(mapping);
    }
    yield* this.clear(mappings);
    for (const { borrowed } of mappings) for (const piece of borrowed?.pieces ?? []) piece.release();
  }

  #unwrite(mapping: VmMapping, tables: TableGather): void {
    mapping.isWritten = false;
    const end = mapping.va + mapping.sizeBytes;
    // A hole ends an unmap: what was written in part is cleared behind it too.
    for (let va = mapping.va; va < end; ) va += this.table.unmap(va, end - va, tables) || end - va;
  }
}

/** Clears the entries of ranges that may be in several address spaces. */
export function* clearAll(mappings: Iterable<VmMapping>): Op<void> {
  const all = [...mappings];
  for (const vm of new Set(all.map((m) => m.vm))) yield* vm.clear(all.filter((m) => m.vm === vm));
}
