/**
 * The modelled machine: address spaces, RAM, IOMMU, guests and devices with DMA on a PCI topology.
 *
 * @packageDocumentation
 */
export { MachineDevice } from "./device.js";
export { TranslatedSpace, type Translation } from "./domain.js";
export { type GuestAccess, GuestVm } from "./guest.js";
export { type Arrival, type Delivery, type IommuMode, Machine, type MachineOptions } from "./machine.js";
export { PhysicalMemory, type PhysTarget, type RamRange } from "./physical.js";
export { VfioPciDevice } from "./vfio.js";
export { MachineIoas } from "./ioas.js";
