/** iommufd: the buffer in an IOAS, and a device of the IOAS that does DMA. */
import { addr } from "@dma-buf/core";
import { MachineIommufd } from "@dma-buf/machine";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { accessActions, accessActs } from "../access.js";
import { importerKind } from "../actor.js";

/** The VMM puts it here in the IOAS. */
const IOVA_BASE = 0x10_0000_0000;
/** `IOMMU_IOAS_MAP_FIXED_IOVA`, `WRITEABLE` and `READABLE`. */
const FIXED_READ_WRITE = 7;

const actions = {
  /** `IOMMU_IOAS_MAP_FILE` of the buffer, or of a part of it. */
  import: v.strictObject({ buffer: v.optional(v.string(), "buffer"), offset: v.optional(size, 0), bytes: v.optional(size) }),
  revalidate: v.strictObject({}),
  ...accessActions,
};

export const iommufd = importerKind({
  package: "@dma-buf/importer-iommufd",
  options: v.objectWithRest({}, v.unknown()),
  actions,
  create(stage) {
    const { machine, framework, column, cast } = stage;
    const device = stage.nextDevice();
    const host = new MachineIommufd(machine);
    const player = column.players.importers.iommufd({ asPosted: cast.importerAsPosted })(framework, host);
    const ioas = player.createIoas();
    const bound = player.bind(device);
    const iova = (offset: number): Parameters<typeof device.write>[0] => addr(IOVA_BASE + offset);
    let imported = "buffer";
    return {
      acts: {
        *import({ buffer, offset, bytes }) {
          const { buf } = stage.exported(buffer);
          if (!bound.hwpt) yield* bound.attach(ioas);
          const length = BigInt(bytes ?? buf.sizeBytes - offset);
          const what = { file: buf, start: BigInt(offset), length, iova: BigInt(iova(offset)) };
          yield* ioas.mapFile({ ...what, flags: FIXED_READ_WRITE });
          imported = buffer;
        },
        revalidate: () => ioas.revalidate(),
        ...accessActs(stage, {
          name: `${device.name} in the IOAS`,
          buffer: () => imported,
          write: (offset, bytes) => device.write(iova(offset), bytes),
          read: (offset, sizeBytes) => device.read(iova(offset), sizeBytes),
          via: (offset) => `IOVA 0x${iova(offset).toString(16)}`,
        }),
      },
      close: () => player.close(),
    };
  },
});
