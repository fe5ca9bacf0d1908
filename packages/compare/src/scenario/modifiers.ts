/** What only some scenarios ask of their machine, by name. */
import * as v from "valibot";
import { bits } from "./bits.js";
import { size } from "./size.js";

const oneOf = <const T extends readonly string[]>(...values: T) =>
  v.optional(v.picklist(values, `one of ${values.join(", ")}`));
const yesNo = v.optional(v.boolean("true or false"));

export const modifierEntries = {
  /** ACS DirectTrans on every port: translated requests go the direct way. */
  acsDirectTranslated: yesNo,
  /** How many bits of an address the IOMMU translates: a table of 3, 4 or 5 levels. */
  aperture: v.optional(v.pipe(bits, v.picklist([39, 48, 57], "39 bit, 48 bit or 57 bit"))),
  /** Where the exported BAR is for the CPU. */
  barAddress: v.optional(size),
  /** Do devices look into the CPUs' caches? */
  coherent: yesNo,
  /** `CONFIG_DMABUF_DEBUG`. */
  debug: oneOf("on", "off"),
  /** The DMA mask of every device. */
  dmaMask: v.optional(bits),
  /** Where the bus addresses end that devices' requests get to. */
  dmaWindow: v.optional(size),
  /** What the device does with a CPU of the host. */
  hostAccess: oneOf("machine check"),
  /** Whose page table is in front of the devices. */
  pageTable: oneOf("generic_pt", "io-pgtable-arm", "Arm stage 2", "VT-d second stage, or Grace"),
  ram: oneOf("above 4 GiB", "movable zone"),
  /** Is the exporter's device a virtual function of the first importer's? In T1. */
  sameDevice: yesNo,
  /** Of the VM. */
  secondStage: oneOf("EPT", "Arm stage 2, S2FWB"),
  /** What a locked device does with requests that come without trust. */
  sharedAccess: oneOf("rejected", "let through"),
  smmuHonoursMemAttr: yesNo,
  tdisp: yesNo,
  vm: oneOf("private memory", "two VMs with private memory", "TDX", "SEV-SNP", "CCA realm"),
};

type Entries = v.InferOutput<v.StrictObjectSchema<typeof modifierEntries, undefined>>;
export type Modifiers = Readonly<Entries>;
