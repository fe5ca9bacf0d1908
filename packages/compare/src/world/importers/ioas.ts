/** iommufd as the importer's package plays it: one IOAS with one device. */
import { addr, type DmaAddr, type DmaBuf, type Op, PAGE_SIZE } from "@dma-buf/core";
import type { Ioas } from "@dma-buf/importer-iommufd";
import { type MachineDevice, type MachineDomain, MachineMemfds, UserMappings } from "@dma-buf/machine";
import { NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";
import type { IoMapper, IoRange } from "./io-mapper.js";
import { iommuHost } from "./iommu-host.js";

/** `IOMMU_IOAS_MAP_FIXED_IOVA`, `WRITEABLE` and `READABLE`. */
const FIXED_READ_WRITE = 7;
/** Where the process has a page of its own, and where it maps it in the IOAS. */
const [USER_PAGE, USER_IOVA] = [0x7f00_0000_0000n, addr<DmaAddr>(0x1000_0000)];

/** What only iommufd can be told. */
export interface IoasMapper extends IoMapper {
  /** The first half of `IOMMU_IOAS_MAP_FILE`: attached, and not asked yet where the buffer lies. */
  attachBuffer(buf: DmaBuf): Op<void>;
  /** The second half. */
  mapAttached(range: IoRange): Op<void>;
  /** `IOMMU_IOAS_MAP` of a page that the process has itself. */
  mapUserPage(): Op<void>;
  revalidate(): Op<void>;
}

export function ioasMapper(stage: Stage, device: MachineDevice): IoasMapper {
  const { machine, framework, column, cast } = stage;
  const user = new UserMappings();
  const host = iommuHost(stage, user);
  const player = column.players.importers.iommufd({ asPosted: cast.importerAsPosted })(framework, host);
  const ioas = player.createIoas();
  const bound = player.bind(device);
  let attached: Parameters<Ioas["mapPages"]>[0] | null = null;
  let memfds: MachineMemfds | null = null;

  function* attachDevice(): Op<void> {
    if (!bound.hwpt) yield* bound.attach(ioas);
  }

  return {
    name: `${device.name} in the IOAS`,
    device,
    get domain() {
      // The host makes no others.
      return (bound.hwpt?.domain ?? null) as MachineDomain | null;
    },
    *map(buf, range) {
      yield* attachDevice();
      yield* ioas.mapFile({ file: buf, ...inIoas(range) });
    },
    *unmap({ iova, sizeBytes }) {
      yield* ioas.unmap(BigInt(iova), BigInt(sizeBytes));
    },
    *attachBuffer(buf) {
      yield* attachDevice();
      attached = yield* player.attachBuffer(buf);
    },
    *mapAttached(range) {
      if (!attached) throw new NotApplicable("no buffer is attached: attach one before it is mapped");
      const pages = attached;
      attached = null;
      yield* ioas.mapPages(pages, inIoas(range));
    },
    *mapUserPage() {
      yield* attachDevice();
      memfds = new MachineMemfds(machine);
      const fd = memfds.create(PAGE_SIZE);
      user.mmap(USER_PAGE, PAGE_SIZE, { file: memfds.memfd(fd) });
      memfds.close(fd);
      const at = { iova: BigInt(USER_IOVA), length: BigInt(PAGE_SIZE), flags: FIXED_READ_WRITE };
      yield* ioas.map({ userVa: USER_PAGE, ...at });
    },
    revalidate: () => ioas.revalidate(),
    *close() {
      if (attached) yield* attached.put();
      yield* player.close();
      user.exit();
      memfds?.kernel.destroy();
    },
  };
}

function inIoas({ offset, sizeBytes, iova }: IoRange) {
  return { start: BigInt(offset), length: BigInt(sizeBytes), iova: BigInt(iova), flags: FIXED_READ_WRITE };
}
