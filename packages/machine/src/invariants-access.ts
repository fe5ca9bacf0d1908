/** The invariants of accesses: where they may go, when, by whom, and how. */
import { hex, type Space } from "@dma-buf/core";
import type { Arrival } from "./delivery.js";
import { type Evidence, type GivenAddress, touches } from "./invariants-evidence.js";
import { isTrusted, vmPath } from "./private.js";

/** What a check found, before it is given its invariant's name. */
export interface Breach {
  readonly what: string;
  readonly step: number;
  readonly actor: string;
}

/** I1. */
export function* wrongSpace({ arrivals, given }: Evidence): Iterable<Breach> {
  if (given.length === 0) return;
  for (const { by, step, issued } of arrivals) {
    if (!issued || issued.wire.length === 0) continue;
    const live = given.filter((g) => gives(g, issued.address, issued.step));
    if (live.some((g) => issued.wire.some((space) => sameSpace(space, g.space)))) continue;
    const whose = live[0] ? `was given for another ${describe(live[0].space)}` : "was given to nobody";
    yield { what: `${by} put ${hex(issued.address)} on its wire, an address that ${whose}`, step, actor: by };
  }
}

/** I2. */
export function* afterDrain({ arrivals, revocations }: Evidence): Iterable<Breach> {
  for (const { name, ranges, owners, drained, restored } of revocations) {
    if (!drained) continue;
    for (const arrival of arrivals.slice(drained.arrivals, restored?.arrivals)) {
      const { by, access, step, issued } = arrival;
      const path = issued?.trust ?? by;
      if (!reached(arrival, ranges) || owners.some((o) => o === path || vmPath(o) === path)) continue;
      const late = issued && issued.step < drained.step ? ", sent before" : "";
      yield { what: `${by}'s ${access} reached ${where(arrival)} after ${name} was drained${late}`, step, actor: by };
    }
  }
}

/** I3. */
export function* afterFence({ arrivals, fenced }: Evidence): Iterable<Breach> {
  for (const { name, by, ranges, retired, renewed } of fenced) {
    if (!retired) continue;
    for (const arrival of arrivals.slice(retired.arrivals)) {
      if (arrival.by !== by || arrival.access !== "write" || !reached(arrival, ranges)) continue;
      // What was sent for the next work is the next fence's.
      if (renewed && (arrival.issued?.step ?? arrival.step) >= renewed.step) continue;
      const what = `${by} wrote ${where(arrival)} after the fence of ${name} had signalled`;
      yield { what, step: arrival.step, actor: by };
    }
  }
}

/** I6. */
export function* privateReached({ arrivals, privateSpans }: Evidence): Iterable<Breach> {
  for (const { range, from, until } of privateSpans)
    for (const arrival of arrivals.slice(from, until ?? undefined)) {
      const { by, access, step, issued } = arrival;
      if (!reached(arrival, [range]) || isTrusted(range, issued?.trust ?? by)) continue;
      yield { what: `${by}'s ${access} reached ${where(arrival)}, private to ${range.owner}`, step, actor: by };
    }
}

/** I9. */
export function* wrongAttribute({ attributes }: Evidence): Iterable<Breach> {
  for (const { by, step, physical, mapped, owner, consequence } of attributes)
    if (consequence !== null)
      yield {
        what: `${by} maps ${hex(physical)} as ${mapped}, its owner wants ${owner}: ${consequence}`,
        step,
        actor: by,
      };
}

function gives({ base, sizeBytes, from, until }: GivenAddress, address: number, step: number): boolean {
  return from.step <= step && (until === null || step <= until.step) && base <= address && address < base + sizeBytes;
}

function reached({ physical, sizeBytes }: Arrival, ranges: Parameters<typeof touches>[0]): boolean {
  return physical !== null && touches(ranges, physical, sizeBytes);
}

function where({ physical }: Arrival): string {
  return hex(physical ?? 0);
}

function sameSpace(a: Space, b: Space): boolean {
  return a.kind === b.kind && identity(a) === identity(b);
}

/** What tells a space from others of its kind. */
function identity(space: Space): object {
  if (space.kind === "pci-bus") return space.bridge;
  return space.kind === "iova" ? space.domain : space.fabric;
}

const NAMES: Readonly<Record<Space["kind"], string>> = {
  "pci-bus": "PCI bus",
  iova: "IOMMU domain",
  "device-private": "device fabric",
};

function describe({ kind }: Space): string {
  return NAMES[kind];
}
