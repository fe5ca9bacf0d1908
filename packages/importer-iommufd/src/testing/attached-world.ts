/** The modelled machine with a device in an IOAS: what an IOAS takes, the device reaches. */
import type { DmaBuf } from "@dma-buf/core";
import type { IommufdDomain } from "../host.js";
import type { Hwpt } from "../hwpt.js";
import type { Ioas } from "../ioas.js";
import { machineWorld, MAP, type MachineWorld, type WorldOptions } from "./machine-world.js";

export const IOVA = 0x80_0000_0000n;

export interface Rig extends MachineWorld {
  readonly ioas: Ioas;
  /** MAP_FILE of a buffer, all of it at {@link IOVA} unless `change` says otherwise. */
  map(buf: DmaBuf, change?: object): ReturnType<Ioas["mapFile"]>;
}

export function rig(id: string, options: WorldOptions = {}): Rig {
  const w = machineWorld(id, options);
  const ioas = w.iommufd.createIoas();
  w.run(w.iommufd.bind(w.nic).attach(ioas));
  const map = { flags: MAP.FIXED_RW, iova: IOVA, start: 0n };
  return {
    ...w,
    ioas,
    map: (buf, change = {}) => ioas.mapFile({ ...map, file: buf, length: BigInt(buf.sizeBytes), ...change }),
  };
}

export const domainOf = ({ ioas }: Rig): IommufdDomain => ([...ioas.hwpts] as [Hwpt])[0].domain;
