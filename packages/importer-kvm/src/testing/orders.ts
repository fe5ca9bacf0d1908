/** Tables of races, and what every order of each must come to. */
import { expect, it } from "vitest";
import { againstMove, againstRevoke, type Cast } from "./race.js";
import type { Serving } from "./rig.js";
import { NOTHING, searched } from "./search.js";

/** A contract, who moves or revokes, what the vCPUs do meanwhile, and how many orders there are. */
export type Race = readonly [id: Serving, against: "move" | "vfio revoke", cast: Cast, orders: number];

const AGAINST = { move: againstMove, "vfio revoke": againstRevoke };

export function noByteGoesAstray(races: readonly Race[]): void {
  it.each(races.map(([id, against, cast, orders]) => [id, cast.join(" × "), against, orders, cast] as const))(
    "%s: %s × %s: %i orders",
    (id, _name, against, orders, cast) => {
      const { count, worst } = searched((scheduler) => AGAINST[against](scheduler, id, cast));
      expect([count, worst]).toEqual([`${orders} orders, exhausted`, NOTHING]);
    },
  );
}
