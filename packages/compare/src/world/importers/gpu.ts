/** A GPU: an address space of its own, jobs that list the buffer or leave it out, fences. */
import { type AccessResult, type Attributes, hex, type Op } from "@dma-buf/core";
import type { Command, GpuImporter, GpuVm, ImportedBuffer, Listed } from "@dma-buf/importer-gpu";
import type { MachineDevice } from "@dma-buf/machine";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { accessActions, accessActs } from "../access.js";
import { importerKind, NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";
import { CpuMapper, cpuMapperActions } from "./cpu-mapper.js";
import { snooping } from "./snooping.js";
import { jobActions, jobActs } from "./gpu-job.js";
import { type OwnMemory, ownMemoryOf } from "./own-memory.js";

const options = v.strictObject({
  /** Does it ask again where it was told without the reservation, and an invalidate came between? */
  retry: v.optional(v.boolean(), true),
  /** When it gives back what was taken away: in the callback, or behind the jobs; or when it validates again, as xe. */
  unmaps: v.optional(v.picklist(["at once", "at the next validation"]), "at once"),
  /** It cannot go on without the buffer, as a compositor: the best asks for a promise at import. No driver does. */
  needsToKeep: v.optional(v.boolean(), false),
  /** Does it look into the caches of CPUs? */
  snoops: v.optional(v.boolean(), true),
  /** How much of its own memory it gave the virtual function that the exporter's device is; else as much as its BAR shows. */
  slice: v.optional(size),
  /** Does it look whether what it takes for its own memory is that function's? */
  checksSlice: v.optional(v.boolean(), true),
});

const actions = {
  /** `bytes`: how much of it, from its beginning, is to appear in the GPU's address space. */
  import: v.strictObject({ buffer: v.optional(v.string(), "buffer"), bytes: v.optional(size, "64 KiB") }),
  /**
   * Maps what it lists, as a submission does, without a job. `asOwnMemory`: the question is how it takes what it is told for
   * memory of its own, and there is none where that cannot be told.
   */
  validate: v.strictObject({ asOwnMemory: v.optional(v.boolean(), false) }),
  ...accessActions,
  ...jobActions,
  ...cpuMapperActions,
};

type Options = v.InferOutput<typeof options>;

/** Who uses the GPU: one address space, with one buffer at its beginning. */
export interface GpuSeat {
  readonly player: GpuImporter;
  readonly vm: GpuVm;
  /** What a job lists that lists the buffer. */
  readonly listed: readonly Listed[];
  /** What the buffer was exported as. */
  readonly imported: string;
  /** Where an access to `va` would go, in words. */
  via(va: number): string;
}

/** `driver`: whose code is played as posted. */
const kindOf = (driver: "amdgpu" | "xe") =>
  importerKind({
    package: "@dma-buf/importer-gpu",
    options,
    actions,
    create(stage, taken) {
      const seat = new Seat(stage, taken, driver);
      const cpu = new CpuMapper(stage, seat.fn);
      return {
        acts: {
          import: ({ buffer, bytes }) => seat.import(buffer, bytes),
          validate: ({ asOwnMemory }) => seat.validate(asOwnMemory),
          ...accessActs(stage, {
            name: seat.player.name,
            buffer: () => seat.imported,
            write: (va, bytes) => seat.does({ do: "write", va, bytes }),
            read: (va, sizeBytes) => seat.does({ do: "read", va, sizeBytes }),
            via: (va) => seat.via(va),
          }),
          ...jobActs(stage, seat),
          ...cpu.acts,
        },
        *close() {
          yield* seat.close();
          yield* cpu.close();
        },
      };
    },
  });

export const gpu = kindOf("amdgpu");
export const xe = kindOf("xe");

function attributesOf(bo: ImportedBuffer | null): Attributes | null {
  const [run] = bo?.runs ?? [];
  return run && run.kind !== "dma" ? run.attributes : null;
}

class Seat implements GpuSeat {
  readonly fn: MachineDevice;
  readonly player: GpuImporter;
  imported = "buffer";
  readonly #stage: Stage;
  readonly #own: OwnMemory | null;
  #vm: GpuVm | null = null;
  #bo: ImportedBuffer | null = null;

  constructor(
    stage: Stage,
    { needsToKeep, unmaps, retry, snoops, slice, checksSlice }: Options,
    driver: "amdgpu" | "xe",
  ) {
    const { machine, framework, column, cast } = stage;
    const { memory } = machine;
    // Where somebody says how the memory is cached, its page-table entries say so too.
    this.fn = stage.nextDevice();
    const device = snooping(machine, this.fn, () => attributesOf(this.#bo)?.snoop ?? snoops);
    this.#own = ownMemoryOf(stage, this.fn, slice);
    const { fabric, virtualFunctions } = this.#own ?? {};
    const host = { device, memory, tables: memory.tables, fabric, virtualFunctions };
    const asPosted = cast.importerAsPosted;
    const importer = needsToKeep && !asPosted ? "pinned" : "dynamic";
    const keeps = unmaps === "at the next validation";
    this.#stage = stage;
    this.player = column.players.importers.gpu({ retry, keeps, importer, driver, asPosted, checksSlice })(
      framework,
      host,
    );
  }

  get vm(): GpuVm {
    return (this.#vm ??= this.player.createVm());
  }

  get listed(): readonly Listed[] {
    if (!this.#bo) throw new NotApplicable(`${this.player.name} has imported nothing`);
    return [{ bo: this.#bo }];
  }

  *import(buffer: string, bytes: number): Op<void> {
    this.#bo = yield* this.player.import(this.#stage.exported(buffer).buf);
    this.imported = buffer;
    this.vm.map(this.#bo, { va: 0, sizeBytes: Math.min(bytes, this.#bo.sizeBytes) });
  }

  *validate(asOwnMemory: boolean): Op<void> {
    yield* this.player.validate(this.vm, this.listed);
    if (asOwnMemory && this.#bo?.runs.some((run) => run.kind === "dma"))
      throw new NotApplicable(`${this.player.name} is told DMA addresses: it takes none for memory of its own`);
  }

  /** One job of one command that lists the buffer, and its end. */
  *does(command: Command): Op<AccessResult> {
    const { fence, results } = yield* this.player.submit({ vm: this.vm, buffers: this.listed, commands: [command] });
    yield* fence.wait();
    fence.put();
    return results[0] as AccessResult;
  }

  via(va: number): string {
    const address = this.#vm?.reaches(va) ?? null;
    if (address === null) return `GPU address ${hex(va)}`;
    return `${this.#own?.wasReached ? "its own memory's" : "DMA"} address ${hex(address)}`;
  }

  *close(): Op<void> {
    this.#own?.lookAtDetours();
    if (this.#vm) yield* this.#vm.destroy();
    if (this.#bo) yield* this.player.close(this.#bo);
    [this.#vm, this.#bo] = [null, null];
  }
}
