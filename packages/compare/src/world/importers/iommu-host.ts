/** The IOMMU of the machine, for who fills domains of it. */
import { MachineIommufd, UserMappings } from "@dma-buf/machine";
import { createVtdSecondStage } from "@dma-buf/page-table";
import type { Modifiers } from "../../scenario/modifiers.js";
import type { Stage } from "../stage.js";

/** Of the table, by how many bits it translates. */
const LEVELS: Readonly<Record<NonNullable<Modifiers["aperture"]>, 3 | 4 | 5>> = { 39: 3, 48: 4, 57: 5 };

/** A scenario may say how far it translates; else it is what the machine has. */
export function iommuHost({ machine, scenario }: Stage, user: UserMappings = new UserMappings()): MachineIommufd {
  const { aperture } = scenario.topology.modifiers;
  const format = aperture && createVtdSecondStage({ levels: LEVELS[aperture] });
  return new MachineIommufd(machine, { user, ...(format ? { format } : {}) });
}
