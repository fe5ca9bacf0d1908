/** A GPU: an address space of its own, jobs that list the buffer, fences. */
import { type AccessResult, hex, type Op } from "@dma-buf/core";
import type { Command, GpuVm, ImportedBuffer, Listed } from "@dma-buf/importer-gpu";
import * as v from "valibot";
import { accessActions, accessActs } from "../access.js";
import { importerKind } from "../actor.js";

const options = v.objectWithRest({ retry: v.optional(v.boolean(), true) }, v.unknown());
const actions = {
  import: v.strictObject({ buffer: v.optional(v.string(), "buffer") }),
  validate: v.strictObject({}),
  ...accessActions,
};

export const gpu = importerKind({
  package: "@dma-buf/importer-gpu",
  options,
  actions,
  create(stage, { retry }) {
    const { machine, framework, column, cast } = stage;
    const { memory } = machine;
    const host = { device: stage.nextDevice(), memory, tables: memory.tables };
    const player = column.players.importers.gpu({ retry, asPosted: cast.importerAsPosted })(framework, host);
    let vm: GpuVm | null = null;
    let bo: ImportedBuffer | null = null;
    let imported = "buffer";
    const space = (): GpuVm => (vm ??= player.createVm());
    const listed = (): readonly Listed[] => (bo ? [{ bo }] : []);
    function* job(command: Command): Op<AccessResult> {
      const { fence, results } = yield* player.submit({ vm: space(), buffers: listed(), commands: [command] });
      yield* fence.wait();
      fence.put();
      return results[0] as AccessResult;
    }
    return {
      acts: {
        *import({ buffer }) {
          bo = yield* player.import(stage.exported(buffer).buf);
          imported = buffer;
          space().map(bo, { va: 0 });
        },
        validate: () => player.validate(space(), listed()),
        ...accessActs(stage, {
          name: player.name,
          buffer: () => imported,
          write: (va, bytes) => job({ do: "write", va, bytes }),
          read: (va, sizeBytes) => job({ do: "read", va, sizeBytes }),
          via(va) {
            const address = vm?.reaches(va) ?? null;
            return address === null ? `GPU address ${hex(va)}` : `DMA address ${hex(address)}`;
          },
        }),
      },
      *close() {
        if (vm) yield* vm.destroy();
        if (bo) yield* player.close(bo);
        [vm, bo] = [null, null];
      },
    };
  },
});
