/** Which rule refused: a bit of a port, a row of the contract, or the call alone. */
import { type CallName, type Contract, DmaBufError, kernelName, type Row, rowsOf, type Stage } from "@dma-buf/core";
import type { Machine } from "@dma-buf/machine";
import { p2pVerdict } from "@dma-buf/pci";
import type { Rule } from "./result.js";

/** The callback that an exporter refuses from, by stage. */
const CALLBACK: Partial<Record<Stage, readonly CallName[]>> = {
  attach: ["attach"],
  pin: ["pin"],
  map: ["mapDmaBuf"],
  query: ["getPfn"],
  mmap: ["mmap"],
};

export interface Where {
  readonly contract: Contract;
  readonly machine: Machine;
  /** The function whose memory it is, and those that do DMA. */
  readonly exporter: string;
  readonly devices: readonly string[];
}

export function ruleOfRefusal(error: DmaBufError, where: Where): Rule {
  const { op, message: text } = error;
  return ofRoute(text, where) ?? ofRow(error, where.contract) ?? { kind: "kernel", id: op, text };
}

/** The peer-to-peer rule says why in its reason: what quotes it was refused by it. */
function ofRoute(text: string, where: Where): Rule | null {
  for (const device of where.devices) {
    const route = routeRule(device, where, text);
    if (route && text.includes(route.reason)) return route.rule;
  }
  return null;
}

/** What the peer-to-peer rule says of the way from `device` to the exporter: the port that decides, or its host bridge. */
export function routeRule(device: string, { machine, exporter }: Where, text: string) {
  const { topology } = machine;
  const { mapType, reason, redirects } = p2pVerdict(topology, topology.get(exporter), topology.get(device));
  const [redirect] = redirects;
  const id = redirect
    ? `${redirect.at} ACS ${redirect.bits.join(" ")}`
    : topology.hostBridgeOf(topology.get(exporter)).name;
  const rule: Rule = { kind: "port", id, text, source: "Linux 7.3, drivers/pci/p2pdma.c" };
  return { mapType, reason, rule };
}

/** The row of the call that refused, or of the callback it has the errno from; else that of what it passes on. */
function ofRow(error: DmaBufError, contract: Contract): Rule | null {
  const { op, code, message, cause } = error;
  const called = rowsOf(contract).find(([call]) => kernelName(contract, call) === op)?.[1];
  const callback = callbacks(error, contract).find((row) => code in row.errors);
  const row: Row | undefined = called ?? callback;
  if (row) return { kind: "contract", id: row.id, text: message, source: row.source };
  const passedOn = cause instanceof DmaBufError ? ofRow(cause, contract) : null;
  return passedOn && { ...passedOn, text: message };
}

/** Who reads a CPU mapping is told EFAULT by whatever call it reads it with: what the mapping is decides. */
function callbacks({ stage, code }: DmaBufError, { rows, policy }: Contract): readonly Row[] {
  const backing = code === "EFAULT" ? policy.backing.filter((call) => call === "mmap") : [];
  return [...(CALLBACK[stage] ?? []), ...backing].flatMap((call) => rows[call] ?? []);
}
