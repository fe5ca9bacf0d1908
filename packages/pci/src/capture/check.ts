/** What holds for every host: no two functions answer for one address, and buses form a tree. */
import { hex } from "@dma-buf/core";
import { type Bar, type PciFunction, partsOf } from "../function.js";
import { CaptureError } from "./capture-error.js";
import { busKey } from "../buses.js";

/** @throws CaptureError naming the functions and the numbers that cannot be true. */
export function check(functions: readonly PciFunction[], source: string): void {
  checkRange(functions, source);
  checkBuses(functions, source);
  checkOverlap(functions, source);
}

function checkRange(functions: readonly PciFunction[], source: string): void {
  for (const { address, bars, bridge } of functions)
    for (const { base, sizeBytes } of [...bars, ...(bridge?.windows ?? [])])
      if (!Number.isSafeInteger(base + sizeBytes))
        throw new CaptureError(
          "ADDRESS_RANGE",
          source,
          `${address} has ${sizeBytes} bytes at ${hex(base)}, which end beyond 2^53`,
          "Take the capture again",
        );
}

interface Span {
  readonly fn: PciFunction;
  readonly bar: Bar;
}

function checkOverlap(functions: readonly PciFunction[], source: string): void {
  const last = new Map<number, Span>();
  for (const span of decoding(functions)) {
    const { domain } = partsOf(span.fn.address);
    const before = last.get(domain);
    if (before && span.bar.base < end(before)) throw overlap(before, span, source);
    last.set(domain, span);
  }
}

/** The memory BARs that answer, lowest first. Those of a PF for its VFs answer where the VFs' own do. */
function decoding(functions: readonly PciFunction[]): Span[] {
  const answers = (bar: Bar): boolean => bar.space === "memory" && bar.enabled && bar.index <= 5;
  return functions
    .filter((fn) => fn.memoryEnabled)
    .flatMap((fn) => fn.bars.filter(answers).map((bar) => ({ fn, bar })))
    .toSorted((a, b) => a.bar.base - b.bar.base);
}

function overlap(a: Span, b: Span, source: string): CaptureError {
  const named = [a, b].map((s) => `BAR ${s.bar.index} of ${s.fn.address} (${hex(s.bar.base)}-${hex(end(s) - 1)})`);
  return new CaptureError(
    "OVERLAP",
    source,
    `${named.join(" and ")} overlap: two functions would answer for one address`,
    "If the capture joins two hosts, read them apart; if not, take it again",
  );
}

function checkBuses(functions: readonly PciFunction[], source: string): void {
  const bridgeTo = new Map<string, PciFunction>();
  for (const fn of functions) {
    // Secondary 0 is a bridge that nobody configured: it leads nowhere.
    if (!fn.bridge || fn.bridge.secondary === 0) continue;
    const bus = busKey(fn.address, fn.bridge.secondary);
    const other = bridgeTo.get(bus);
    if (other) throw loop(source, `${other.address} and ${fn.address} both lead to bus ${bus}`);
    bridgeTo.set(bus, fn);
  }
  const fine = new Set<PciFunction>();
  for (const fn of bridgeTo.values()) checkPath(fn, bridgeTo, fine, source);
}

/** Follows the bridges up from `fn`, to a root bus or to a bridge whose way up is `fine`: a tree never comes back. */
function checkPath(
  fn: PciFunction,
  bridgeTo: ReadonlyMap<string, PciFunction>,
  fine: Set<PciFunction>,
  source: string,
): void {
  const path = new Set<PciFunction>();
  for (let at: PciFunction | undefined = fn; at && !fine.has(at); at = bridgeTo.get(busKey(at.address))) {
    if (path.has(at)) throw loop(source, ringOf([...path], at));
    path.add(at);
  }
  for (const at of path) fine.add(at);
}

function ringOf(path: readonly PciFunction[], start: PciFunction): string {
  const ring = [...path.slice(path.indexOf(start) + 1), start];
  const names = ring.map((f) => `${f.address} leads to bus ${busKey(f.address, f.bridge?.secondary)}`);
  return `the bridges form a loop: ${names.join(", ")}`;
}

function loop(source: string, problem: string): CaptureError {
  return new CaptureError("BUS_LOOP", source, problem, "Buses form a tree on every host: take the capture again");
}

function end({ bar }: Span): number {
  return bar.base + bar.sizeBytes;
}
