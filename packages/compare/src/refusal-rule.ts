/** Which rule refused: a bit of a port, a row of the contract, or the call alone. */
import {
  type CallName,
  type Contract,
  type DmaBufError,
  kernelName,
  type Row,
  rowsOf,
  type Stage,
} from "@dma-buf/core";
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
  const text = error.message;
  return ofRoute(text, where) ?? ofRow(error, where.contract) ?? { kind: "kernel", id: error.op, text };
}

/** The peer-to-peer rule says why in its reason: what quotes it was refused by it. */
function ofRoute(text: string, { machine, exporter, devices }: Where): Rule | null {
  const { topology } = machine;
  for (const address of devices) {
    const { reason, redirects } = p2pVerdict(topology, topology.get(exporter), topology.get(address));
    if (!text.includes(reason)) continue;
    const [redirect] = redirects;
    const id = redirect
      ? `${redirect.at} ACS ${redirect.bits.join(" ")}`
      : topology.hostBridgeOf(topology.get(exporter)).name;
    return { kind: "port", id, text, source: "Linux 7.3, drivers/pci/p2pdma.c" };
  }
  return null;
}

function ofRow({ op, stage, code, message }: DmaBufError, contract: Contract): Rule | null {
  const called = rowsOf(contract).find(([call]) => kernelName(contract, call) === op)?.[1];
  const callback = (CALLBACK[stage] ?? []).map((call) => contract.rows[call]).find((row) => row && code in row.errors);
  const row: Row | undefined = called ?? callback;
  return row ? { kind: "contract", id: row.id, text: message, source: row.source } : null;
}
