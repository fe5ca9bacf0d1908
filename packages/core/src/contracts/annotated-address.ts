/**
 * What Christian König offered in January 2025 and nobody coded: the exporter maps, and each address says in which
 * space it is valid and how it may be reached. A reading of 5f588dac and 6612c40d, over Linux 7.3.
 */
import { type Contract, defineContract } from "../contract.js";
import { annotatedOnly, mappedWindow } from "./window.js";
import { linux73 } from "./linux-7.3.js";

const source = "5f588dac (16 January 2025) and 6612c40d (22 January 2025), König; a reading";

/**
 * Addresses that say in which space they are valid.
 * @example
 * annotatedAddress.base; // "7.3"
 */
export const annotatedAddress: Contract = defineContract(linux73, {
  id: "annotated-address",
  title:
    "The exporter maps, and each address says in which space it is valid and how it may be reached (offered 2025).",
  change: {
    mapDmaBuf: {
      does: "Maps the backing for the attached importer; each run carries its address space and its attributes.",
      findings: ["no table", "a table that is out already", "a run that does not say its space"],
      source,
    },
    dynamicAttach: {
      errors: { EINVAL: "no buffer", ENOMEM: "no memory" },
      findings: ["no buffer", "the reservation is held, and the call takes it"],
      source,
    },
  },
  defects: [],
  policy: { device: "optional" },
  *open(fw, at, direction) {
    return mappedWindow(fw, at, direction, annotatedOnly(fw));
  },
});
