/** Every order of a guest's accesses against a move and a revoke, where the reservation is held from the answer to the leaf: no byte goes astray. */
import { noByteGoesAstray } from "./testing/orders.js";

noByteGoesAstray([
  ["pfn-locked", "move", ["faults"], 107],
  ["pfn-locked", "move", ["cached"], 21],
  ["pfn-locked", "move", ["faults", "inside"], 2407],
  ["pfn-locked", "vfio revoke", ["faults"], 733],
  ["pfn-locked", "vfio revoke", ["cached"], 84],
  ["annotated-address", "move", ["faults"], 182],
  ["annotated-address", "move", ["cached"], 34],
  ["annotated-address", "move", ["cached", "inside"], 6606],
  ["annotated-address", "vfio revoke", ["faults"], 1108],
  ["annotated-address", "vfio revoke", ["cached"], 120],
]);
