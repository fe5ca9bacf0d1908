/** Where an importer's accesses end, and whether they may. */
import { type CallName, hex } from "@dma-buf/core";
import { type ImporterWorld, pagesOf } from "./importer-world.js";

/** Of the buffer as the reference exporter has it now. */
const truth = ({ exporter }: ImporterWorld, offset: number): number => exporter.physical + offset;

/** Where an access to byte `offset` ends in memory now. `null`: it would fault, or the importer does not say. */
export function placeReached({ importer, host }: ImporterWorld, offset: number): number | null {
  const address = importer.reaches?.(offset) ?? null;
  return address === null ? null : host.placeOf(address);
}

/** Books the first page at which an access ends where it may not. `may`: where else than at nothing. */
export function checkReach(
  world: ImporterWorld,
  call: CallName,
  rule: string,
  may: (place: number, offset: number) => boolean,
): void {
  for (const offset of pagesOf(world)) {
    const place = placeReached(world, offset);
    if (place !== null && !may(place, offset))
      return world.fw.breach(call, `an access to byte ${hex(offset)} reaches ${hex(place)}: ${rule}`);
  }
}

/** Each page where the exporter has it, or nowhere. */
export function checkTrue(world: ImporterWorld, call: CallName, rule: string): void {
  checkReach(world, call, rule, (place, offset) => place === truth(world, offset));
}

/** No page anywhere. */
export function checkNowhere(world: ImporterWorld, call: CallName, rule: string): void {
  checkReach(world, call, rule, () => false);
}
