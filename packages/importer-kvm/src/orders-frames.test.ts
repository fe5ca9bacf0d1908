/** Every order of a guest's accesses against a move and a revoke, where a frame is true for an instant only: no byte goes astray. */
import { noByteGoesAstray } from "./testing/orders.js";

noByteGoesAstray([
  ["vma", "move", ["faults"], 156],
  ["vma", "move", ["cached"], 36],
  ["vma", "move", ["faults", "inside"], 5141],
  ["vma", "vfio revoke", ["faults"], 715],
  ["vma", "vfio revoke", ["cached"], 143],
  ["pfn", "move", ["faults"], 154],
  ["pfn", "move", ["cached"], 21],
  ["pfn", "move", ["faults", "inside"], 2407],
  ["pfn", "move", ["cached", "inside"], 2032],
  ["pfn", "vfio revoke", ["faults"], 898],
  ["pfn", "vfio revoke", ["cached"], 84],
]);
