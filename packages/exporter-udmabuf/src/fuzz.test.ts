/**
 * Whatever processes, importers, the CPU and compaction do, one after the other or two at once: every byte is where it was
 * told to be, a refusal leaves nothing, and when everybody has given back what they took nothing is out.
 */
import {
  addr,
  describeEnd,
  type Device,
  type Direction,
  type DmaAddr,
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type Held,
  type IosysMap,
  type Op,
  PAGE_SIZE,
  type PfnAnswer,
  Scheduler,
  seeded,
  type SgTable,
  type Task,
  type Vma,
} from "@dma-buf/core";
import { F_SEAL, type Memfd } from "@dma-buf/machine";
import fc from "fast-check";
import { expect, it } from "vitest";
import { item, type Rig, rig, VARIANTS } from "./host.test.js";
import { UDMABUF_IOCTL } from "./uapi.js";

const DIRECTIONS: readonly Direction[] = ["to-device", "from-device", "bidirectional"];
const HUGE = 2 ** 21;

interface Buf {
  readonly buf: DmaBuf;
  /** The byte that each page begins with, by where it comes from. */
  readonly pages: readonly { readonly file: Memfd; readonly page: number }[];
  vmap: IosysMap | null;
  users: number;
}

interface Importer {
  readonly of: Buf;
  readonly device: Device | null;
  at: DmaBufAttachment;
  table: SgTable | null;
  readonly direction: Direction;
  pinned: boolean;
}

/** One run: a world, and what has been taken of it. */
class Run {
  readonly r: Rig;
  /** Bytes that were not where somebody was told. */
  readonly wrong: string[] = [];
  readonly #files: { readonly fd: number; readonly file: Memfd }[] = [];
  readonly #bufs: Buf[] = [];
  readonly #importers: Importer[] = [];
  readonly #vmas: { readonly vma: Vma; readonly of: Buf }[] = [];
  #failing = "";
  #stamp = 1;

  constructor(
    variant: string,
    seed: number,
    options: { movable: boolean; asPosted: boolean; iommu: boolean; narrow: boolean },
  ) {
    this.r = rig({
      variant,
      scheduler: new Scheduler(seeded(seed)),
      options: { movable: options.movable, asPosted: options.asPosted },
      machine: { tablesMax: 64, iommu: options.iommu ? "translated" : "off", dmaMaskBits: options.narrow ? 30 : 64 },
      memfds: { ram: { base: addr(options.narrow ? 0x5000_0000 : 0x3000_0000), sizeBytes: 3 * HUGE } },
      allocFails: (op) => op === this.#failing,
    });
  }

  /** Something to begin with: a file of base pages, a huge one, a buffer of both. */
  begin(): void {
    for (const [a, b] of [
      [1, 3],
      [4, 1],
    ] as const)
      this.#newFile(a, b);
    this.#create(4, 1, 0);
  }

  /** One thing that somebody does, by three numbers. */
  op(kind: number, a: number, b: number, c: number): Op<void> | null {
    const ops = [
      () => this.#newFile(a, b),
      () => this.#changeFile(a, b, c),
      () => this.#create(a, b, c),
      () => this.#create(a, b, c),
      () => this.#ioctl(a, b, c),
      () => this.#attach(a, b, c),
      () => this.#map(a),
      () => this.#unmap(a),
      () => this.#pin(a),
      () => this.#ask(a, b),
      () => this.#mmap(a, b, c),
      () => this.#vmap(a),
      () => this.#cpu(a, b),
      () => this.#migrate(a, b),
      () => this.#migrate(a, b),
      () => this.#drop(a, b),
      () => this.#fail(a),
    ];
    return (ops[kind % ops.length] as () => Op<void> | null)();
  }

  static readonly KINDS = 17;

  /** Everybody gives back what they took. */
  *end(): Op<void> {
    const { fw, memfds } = this.r;
    this.#failing = "";
    for (const importer of this.#importers.splice(0)) yield* this.#leave(importer);
    for (const { vma } of this.#vmas.splice(0)) yield* fw.munmap(vma);
    for (const { buf, vmap } of this.#bufs.splice(0)) {
      if (vmap) yield* fw.vunmapBufferUnlocked(buf, vmap);
      yield* fw.put(buf);
    }
    for (const { fd } of this.#files.splice(0)) memfds.close(fd);
    yield* memfds.kernel.flushTlb();
  }

  /** Is each byte where each importer, each mapping and the kernel was told that it is? What is not goes into `wrong`. */
  *check(): Op<void> {
    for (const importer of this.#importers) yield* this.#checkTable(importer);
    for (const { vma, of } of this.#vmas)
      for (let page = 0; page < vma.pages; page++) {
        const answer = vma.fault?.(page) as PfnAnswer | undefined;
        this.#same("mmap", this.#byteAt((answer?.pfn ?? 0) * PAGE_SIZE), of, vma.pgoff + page);
      }
    for (const of of this.#bufs)
      for (let page = 0; of.vmap && page < of.pages.length; page++)
        this.#same("vmap", yield* this.r.memfds.kernel.read(of.vmap.address + page * PAGE_SIZE, 1), of, page);
  }

  #same(
    where: string,
    seen: number | { readonly kind: string; readonly bytes?: Uint8Array },
    of: Buf,
    page: number,
  ): void {
    const byte = typeof seen === "number" ? seen : (seen.bytes?.[0] ?? seen.kind);
    if (byte !== this.#expected(of, page)) this.wrong.push(`${where}: page ${page} has ${byte}`);
  }

  #byteAt(physical: number): number {
    return this.r.machine.memory.read(physical, 1)[0] as number;
  }

  #expected(of: Buf, page: number): number {
    const from = of.pages[page] as Buf["pages"][number];
    return from.file.read(from.page * PAGE_SIZE, 1)[0] as number;
  }

  *#checkTable({ of, device, table, direction }: Importer): Op<void> {
    for (const run of table?.runs ?? [])
      for (let at = 0; at < run.sizeBytes; at += PAGE_SIZE) {
        const page = (run.offset + at) / PAGE_SIZE;
        const address = (run as { address: number }).address + at;
        if (!device) this.#same("map", this.#byteAt(address), of, page);
        else if (direction === "from-device") {
          const byte = this.#stamp++ & 127;
          yield* device.write(addr<DmaAddr>(address), new Uint8Array([byte]));
          this.#same("write", byte, of, page);
        } else this.#same("read", yield* device.read(addr<DmaAddr>(address), 1), of, page);
      }
  }

  #newFile(a: number, b: number): null {
    if (this.#files.length > 3) return null;
    const isHuge = a % 4 === 0;
    const pageBytes = isHuge ? HUGE : PAGE_SIZE;
    const pages = isHuge ? 512 : 1 + (b % 4);
    const fd = this.r.memfds.create(pages * PAGE_SIZE, { pageBytes });
    const file = this.r.memfds.memfd(fd);
    if (b % 8 > 0) file.addSeals(F_SEAL.SHRINK);
    for (let page = 0; page < Math.min(pages, 8); page++)
      file.write(page * PAGE_SIZE, new Uint8Array([this.#stamp++ & 127]));
    this.#files.push({ fd, file });
    return null;
  }

  #changeFile(a: number, b: number, c: number): null {
    const { file } = pick(this.#files, a) ?? {};
    if (b % 8 === 0) file?.addSeals(1 << (c % 7));
    else if (b % 8 === 1) file?.truncate((c % 6) * PAGE_SIZE);
    else file?.write((c % 4) * PAGE_SIZE, new Uint8Array([this.#stamp++ & 127]));
    return null;
  }

  #create(a: number, b: number, c: number): null {
    const picks = [a, b, c].slice(0, 1 + (a % 3)).flatMap((n) => {
      const picked = pick(this.#files, n);
      return picked ? [{ ...picked, page: (n >> 2) % 5, pages: 1 + ((n >> 3) % 3) }] : [];
    });
    if (picks.length === 0) return null;
    const buf = this.r.exporter.create(picks.map(({ fd, page, pages }) => item(fd, page, pages)));
    this.#keep(
      buf,
      picks.flatMap(({ file, page, pages }) => Array.from({ length: pages }, (_, i) => ({ file, page: page + i }))),
    );
    return null;
  }

  #keep(buf: DmaBuf, pages: Buf["pages"]): void {
    this.#bufs.push({ buf, pages, vmap: null, users: 0 });
  }

  *#ioctl(a: number, b: number, c: number): Op<void> {
    const { fd = 99, file } = pick(this.#files, a) ?? {};
    const user = new Uint8Array(24 + (c % 3) * 8);
    const view = new DataView(user.buffer);
    view.setUint32(0, fd, true);
    view.setBigUint64(8, BigInt(b % 3) * 4096n + (b % 7 === 0 ? 1n : 0n), true);
    view.setBigUint64(16, c % 5 === 0 ? 2n ** 63n : 4096n, true);
    const [cmd, short] = [[UDMABUF_IOCTL.CREATE, UDMABUF_IOCTL.CREATE_LIST, 7][c % 3] as number, b % 11 === 0];
    yield* this.r.exporter.ioctl(cmd, short ? user.subarray(0, a % 24) : user, (buf) => {
      if (b % 5 === 0) throw new DmaBufError("EMFILE", { op: "dma_buf_fd", stage: "fd", message: "full: close an fd" });
      this.#keep(buf, [{ file: file as Memfd, page: b % 3 }]);
      return 7;
    });
  }

  *#attach(a: number, b: number, c: number): Op<void> {
    const of = pick(this.#bufs, a);
    if (!of) return;
    const { fw, nic, gpu } = this.r;
    const canBeNull = fw.contract.policy.device !== "always";
    const device = [nic, gpu, canBeNull ? null : nic][b % 3] as Device | null;
    const importer: Importer = {
      of,
      device,
      at: null as never,
      table: null,
      direction: pick(DIRECTIONS, c) as Direction,
      pinned: false,
    };
    const lets = (at: DmaBufAttachment, held: Held): Op<void> => this.#letGo(importer, at, held);
    const ops = b % 4 === 0 ? null : { allowPeer2peer: b % 2 === 0, invalidateMappings: lets };
    importer.at = yield* fw.dynamicAttach(of.buf, device, { name: `importer ${a}`, ops });
    of.users++;
    this.#importers.push(importer);
  }

  *#letGo(importer: Importer, at: DmaBufAttachment, held: Held): Op<void> {
    const { table } = importer;
    importer.table = null;
    if (table) yield* this.r.fw.unmapAttachment(at, table, importer.direction, held);
  }

  *#map(a: number): Op<void> {
    const importer = pick(this.#importers, a);
    const { fw } = this.r;
    if (!importer || !fw.contract.rows.mapAttachment || !importer.of.buf.ops.mapDmaBuf) return;
    using held = yield* importer.of.buf.resv.lock();
    importer.table ??= yield* fw.mapAttachment(importer.at, importer.direction, held);
  }

  *#unmap(a: number): Op<void> {
    const importer = pick(this.#importers, a);
    if (!importer) return;
    using held = yield* importer.of.buf.resv.lock();
    yield* this.#letGo(importer, importer.at, held);
  }

  *#pin(a: number): Op<void> {
    const importer = pick(this.#importers, a);
    const { fw } = this.r;
    if (!importer?.at.importer || !fw.contract.rows.pinAttachment) return;
    using held = yield* importer.of.buf.resv.lock();
    yield* importer.pinned ? fw.unpinAttachment(importer.at, held) : fw.pinAttachment(importer.at, held);
    importer.pinned = !importer.pinned;
  }

  *#ask(a: number, b: number): Op<void> {
    const importer = pick(this.#importers, a);
    const { fw } = this.r;
    if (!importer?.of.buf.ops.getPfn) return;
    const pgoff = b % (importer.of.pages.length + 1);
    let pfn: number;
    if (fw.contract.rows.getPfnAttachment) {
      using held = yield* importer.of.buf.resv.lock();
      ({ pfn } = yield* fw.getPfnAttachment(importer.at, pgoff, held));
    } else ({ pfn } = yield* fw.getPfnUnlocked(importer.at, pgoff));
    this.#same("pfn", this.#byteAt(pfn * PAGE_SIZE), importer.of, pgoff);
  }

  *#mmap(a: number, b: number, c: number): Op<void> {
    const of = pick(this.#bufs, a);
    const { fw } = this.r;
    if (b % 2 === 0) {
      const last = this.#vmas.pop();
      if (!last) return;
      last.of.users--;
      yield* fw.munmap(last.vma);
    } else if (of) {
      const vma = yield* fw.mmapFile(of.buf, { pgoff: b % 3, pages: 1 + (c % 3), buf: null, fault: null });
      of.users++;
      this.#vmas.push({ vma, of });
    }
  }

  *#vmap(a: number): Op<void> {
    const of = pick(this.#bufs, a);
    if (!of) return;
    const { vmap } = of;
    of.vmap = null;
    if (vmap) yield* this.r.fw.vunmapBufferUnlocked(of.buf, vmap);
    else of.vmap = yield* this.r.fw.vmapBufferUnlocked(of.buf);
  }

  *#cpu(a: number, b: number): Op<void> {
    const of = pick(this.#bufs, a);
    if (!of) return;
    const direction = pick(DIRECTIONS, b) as Direction;
    if (b % 2 === 0) yield* this.r.fw.beginAccess(of.buf, direction);
    else yield* this.r.fw.endAccess(of.buf, direction);
  }

  *#migrate(a: number, b: number): Op<void> {
    yield* pick(this.#files, a)?.file.migrate(b % 4) ?? nothing();
  }

  /** Something is given back for good. */
  *#drop(a: number, b: number): Op<void> {
    const { fw, memfds } = this.r;
    if (b % 3 === 0) {
      const importer = pick(this.#importers, a);
      if (!importer) return;
      this.#importers.splice(this.#importers.indexOf(importer), 1);
      yield* this.#leave(importer);
    } else if (b % 3 === 1) {
      const of = pick(this.#bufs, a);
      if (!of || of.users > 0 || of.vmap) return;
      this.#bufs.splice(this.#bufs.indexOf(of), 1);
      yield* fw.put(of.buf);
    } else {
      const picked = pick(this.#files, a);
      if (!picked || this.#bufs.some(({ pages }) => pages.some(({ file }) => file === picked.file))) return;
      this.#files.splice(this.#files.indexOf(picked), 1);
      memfds.close(picked.fd);
    }
  }

  *#leave(importer: Importer): Op<void> {
    const { fw } = this.r;
    const { at, of } = importer;
    {
      using held = yield* of.buf.resv.lock();
      yield* this.#letGo(importer, at, held);
      if (importer.pinned) yield* fw.unpinAttachment(at, held);
    }
    yield* fw.detachAttachment(of.buf, at);
    of.users--;
  }

  #fail(a: number): null {
    this.#failing = ["", "", "", ...FAILING][a % (FAILING.length + 3)] as string;
    return null;
  }
}

const FAILING = [
  "memdup_user",
  "udmabuf_create",
  "init_udmabuf",
  "dma_buf_export",
  "sg_alloc_table_from_pages",
  "vm_map_ram",
  "dma_buf_dynamic_attach",
];

function* nothing(): Op<void> {}

function throwIfAny(error: unknown): void {
  if (error) throw error;
}

function partition<T>(from: readonly T[], is: (value: T) => boolean): readonly [T[], T[]] {
  return [from.filter(is), from.filter((value) => !is(value))];
}

function pick<T>(from: readonly T[], n: number): T | undefined {
  return from[n % Math.max(1, from.length)];
}

/** What may be done at once with something else, by those who do not know of each other: kinds of {@link Run.op}. */
const AT_ONCE: readonly number[] = [2, 4, 5, 6, 7, 8, 9, 12, 13];
/** These change what is out even if they are refused: importers let go before a page stays after all. */
const MOVING: readonly number[] = [13, 14];
const POSTED: readonly string[] = ["dma-address", "vma", "linux-7.3"];

const steps = fc.array(
  fc.record({
    kind: fc.nat(Run.KINDS - 1),
    numbers: fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255)),
    isAtOnce: fc.boolean(),
  }),
  { minLength: 10, maxLength: 60 },
);

const how = fc.record({
  variant: fc.constantFrom(...VARIANTS.map((v) => v.name)),
  movable: fc.boolean(),
  asPosted: fc.boolean(),
  iommu: fc.boolean(),
  narrow: fc.boolean(),
});

/** What an exporter and a kernel may say: a refusal. */
function refused(act: () => void): boolean {
  try {
    act();
    return false;
  } catch (error) {
    if (error instanceof DmaBufError) return true;
    throw error;
  }
}

/** All ledgers but the frames: who is refused may have touched pages of a file before. */
function kept(r: Rig): unknown {
  const out = r.out() as { readonly machine: Readonly<Record<string, number>> };
  return { ...out, machine: { ...out.machine, memfdFrames: 0 } };
}

it("bytes are where they were told to be, a refusal leaves nothing, and nothing is out at the end", () => {
  const property = fc.property(how, fc.nat(), steps, (given, seed, list) => {
    const asPosted = given.asPosted && !given.movable && POSTED.includes(given.variant);
    const run = new Run(given.variant, seed, { ...given, asPosted });
    const { r } = run;
    const empty = r.out();
    run.begin();
    const tasks: Task[] = [];
    const settle = (): void => {
      expect(describeEnd(r.scheduler.run())).toBe("done");
      for (const { error } of tasks.splice(0)) refused(() => throwIfAny(error));
    };
    for (const { kind, numbers, isAtOnce } of list) {
      const op = (): Op<void> | null => run.op(kind, ...numbers);
      if (isAtOnce && AT_ONCE.includes(kind)) {
        refused(() => void tasks.push(...[op()].flatMap((o) => (o ? [r.scheduler.spawn("at once", o)] : []))));
        continue;
      }
      settle();
      // As posted a device may have a copy, which is nobody's.
      if (!(asPosted && given.narrow)) r.run(run.check());
      const before = kept(r);
      const isRefused = refused(() => r.run(op() ?? nothing()));
      if (isRefused && !MOVING.includes(kind)) expect(kept(r)).toEqual(before);
    }
    settle();
    r.run(run.end());
    expect(run.wrong).toEqual([]);
    const [lost, others] = partition(r.fw.findings, (f) => f.requirement.endsWith("/defect-begin-race"));
    // The core warns of each vmap that an exporter refuses.
    expect(others.filter((f) => !f.requirement.endsWith("vmap"))).toEqual([]);
    expect(r.exporter.ledger).toEqual({ buffers: 0, tables: lost.length, pins: 0 });
    if (lost.length === 0) expect(r.out()).toEqual(empty);
  });
  fc.assert(property, { numRuns: 60 });
});
