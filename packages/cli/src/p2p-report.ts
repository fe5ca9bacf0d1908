/** Who can be whose peer, as data: what `--json` prints, and what is drawn as text. */
import { hex, type P2pMapType } from "@dma-buf/core";
import {
  type Capture,
  type Maybe,
  type P2pAnswer,
  type P2pMatrix,
  type P2pRuling,
  type PciFunction,
  type PeerPath,
  p2pRuling,
  peerBar,
  peerPaths,
  type Topology,
  type Unknown,
} from "@dma-buf/pci";
import { InputError } from "./errors.js";

/** The matrix as `--json` prints it. */
export interface MatrixReport {
  readonly schemaVersion: 1;
  readonly machine: string;
  readonly kernel: string;
  readonly classes: readonly { readonly below: string | null; readonly functions: readonly string[] }[];
  /** `matrix[provider][client]`, by class; `null` within a class of one. */
  readonly matrix: readonly (readonly (Maybe<P2pMapType> | null)[])[];
  readonly unknown: Capture["unknown"];
  readonly skipped: Capture["skipped"];
}

/** One direction of a pair: `client` reads and writes a BAR of `provider`. */
export interface Direction {
  readonly provider: string;
  readonly client: string;
  /** `null`: the provider has no memory BAR, and so nothing to reach. */
  readonly bar: { readonly index: number; readonly base: string; readonly sizeBytes: number } | null;
  /** Linux's rule. */
  readonly verdict: Maybe<P2pMapType>;
  /** One where it is known; else every one that is possible, worst first. */
  readonly answers: readonly P2pAnswer[];
  readonly unknown: readonly Unknown[];
  /** What the hardware does, whatever Linux says. */
  readonly paths: readonly PeerPath[];
}

export interface PairReport {
  readonly schemaVersion: 1;
  readonly machine: string;
  readonly kernel: string;
  readonly directions: readonly Direction[];
  /** Set where addresses on the bus are the CPU's because the capture does not say otherwise. */
  readonly assumedOffset: string | null;
  readonly skipped: Capture["skipped"];
}

export function matrixReport(capture: Capture, topology: Topology, { classes, verdicts }: P2pMatrix): MatrixReport {
  return {
    schemaVersion: 1,
    machine: capture.source,
    kernel: topology.kernel.join("."),
    classes: classes.map((c) => ({ below: c.below?.address ?? null, functions: c.functions.map((f) => f.address) })),
    matrix: verdicts,
    unknown: capture.unknown,
    skipped: capture.skipped,
  };
}

/** @throws InputError for a device that is not there, or the same one twice */
export function pairReport(capture: Capture, topology: Topology, first: string, second: string): PairReport {
  const [a, b] = [functionNamed(topology, first), functionNamed(topology, second)];
  if (a === b) throw new InputError(`${a.address} twice: a peer is another device. Name two`);
  return {
    schemaVersion: 1,
    machine: capture.source,
    kernel: topology.kernel.join("."),
    directions: [direction(topology, a, b), direction(topology, b, a)],
    assumedOffset: assumedOffset(topology, a, b),
    skipped: capture.skipped,
  };
}

function assumedOffset(topology: Topology, a: PciFunction, b: PciFunction): string | null {
  const guessed = [...new Set([a, b].map((fn) => topology.hostBridgeOf(fn)))].filter((root) => !root.isOffsetKnown);
  if (guessed.length === 0) return null;
  const roots = guessed.map((root) => root.name).join(" and ");
  return `Bus addresses below ${roots} are taken to be the CPU's: the capture does not show both. dma-buf capture does.`;
}

function direction(topology: Topology, client: PciFunction, provider: PciFunction): Direction {
  const ruling = p2pRuling(topology, provider, client);
  const answers = ruling.known ? [ruling.answer] : ruling.answers;
  const bar = peerBar(provider);
  const allowed = answers.map((answer) => answer.mapType);
  return {
    provider: provider.address,
    client: client.address,
    bar: bar && { index: bar.index, base: hex(bar.base), sizeBytes: bar.sizeBytes },
    verdict: verdictOf(ruling),
    answers,
    unknown: ruling.known ? [] : ruling.unknown,
    paths: bar ? peerPaths(topology, provider, bar, client, allowed) : [],
  };
}

function verdictOf(ruling: P2pRuling): Maybe<P2pMapType> {
  return ruling.known ? ruling.answer.mapType : "unknown";
}

/** `01:00.0` is in domain 0000, as lspci has it. */
function functionNamed(topology: Topology, name: string): PciFunction {
  const full = (/^[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i.test(name) ? `0000:${name}` : name).toLowerCase();
  if (topology.has(full)) return topology.get(full);
  const bus = full.slice(0, full.lastIndexOf(":"));
  const near = topology.functions.filter((f) => f.address.startsWith(`${bus}:`));
  const there = (near.length > 0 ? near : topology.functions.filter((f) => !f.bridge)).map((f) => f.address);
  const shown = there.length > 12 ? `${there.slice(0, 12).join(", ")} and ${there.length - 12} more` : there.join(", ");
  throw new InputError(`${name}: no such function in this capture. There are ${shown}; dma-buf machine shows all`);
}
