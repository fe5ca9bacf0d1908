/** What a NIC can be told, whoever maps for it. */
import * as v from "valibot";
import { accessActions } from "../access.js";
import type { Actor } from "../actor.js";
import { importArgs } from "./region.js";

const actions = {
  import: importArgs,
  /** Maps what was imported without: what a fault handler does. */
  prefetch: v.strictObject({}),
  /** Asks for the address as a driver does that holds the reservation. */
  "query-holding-reservation": v.strictObject({ buffer: v.optional(v.string(), "buffer") }),
  /** Registers and deregisters, if it is let. */
  "try-import": v.strictObject({}),
  /** Registers another buffer besides, and keeps it to the end. */
  "import-besides": v.strictObject({ buffer: v.string() }),
  /** Registers and deregisters, so many times. */
  churn: v.strictObject({
    times: v.pipe(v.number("a number"), v.integer("a whole number"), v.minValue(1, "1 or more")),
  }),
  /** Looks into the device's translation table: what was taken away is in it no more. */
  "look-into-table": v.strictObject({}),
  /** Deregisters. */
  detach: v.strictObject({}),
  ...accessActions,
};
export type NicActions = typeof actions;
export const nicActions: NicActions = actions;
export type NicActor = Actor<NicActions>;
