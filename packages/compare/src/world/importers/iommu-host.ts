/** The IOMMU of the machine, for who fills domains of it. */
import { MachineIommufd, UserMappings } from "@dma-buf/machine";
import { createVtdSecondStage } from "@dma-buf/page-table";
import type { Stage } from "../stage.js";

/** A scenario may say that it translates 39 bits, as units with tables of three levels do. */
export function iommuHost({ machine, scenario }: Stage, user: UserMappings = new UserMappings()): MachineIommufd {
  const isNarrow = scenario.topology.modifiers.aperture === 39;
  return new MachineIommufd(machine, { user, ...(isNarrow ? { format: createVtdSecondStage({ levels: 3 }) } : {}) });
}
