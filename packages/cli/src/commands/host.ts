/** The commands about a host: capture it, show it, and say who can be whose peer. */
import { existsSync, writeFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { captureToJson, kernelVersion, type KernelVersion, p2pMatrix, topologyOf } from "@dma-buf/pci";
import { captureTree, directoryTree } from "@dma-buf/pci/node";
import { InvalidArgumentError } from "commander";
import { InputError } from "../errors.js";
import { readMachine } from "../input.js";
import { matrixReport, pairReport } from "../p2p-report.js";
import { renderMatrix, renderPair } from "../p2p-text.js";
import { renderMachine } from "../tree.js";
import type { Cli } from "./cli.js";

/** What a capture may be, in the help of every command that takes one. */
export const CAPTURE =
  "a capture: `dma-buf capture`, `lspci -vvv`, `lspci -xxxx`, a sysfs tree or a tar of it; - is stdin";

export function addHostCommands(cli: Cli): void {
  cli
    .command("machine", "show a host as a tree, with ACS and IOMMU groups")
    .argument("<file>", CAPTURE)
    .action((file: string, options: { json?: boolean }) => {
      const capture = readMachine(file);
      cli.io.out(`${options.json ? captureToJson(capture).trimEnd() : renderMachine(capture)}\n`);
    });

  cli
    .command("p2p", "say who can do peer-to-peer DMA with whom, or for two devices by which way and what decides")
    .argument("<file>", CAPTURE)
    .argument("[client]", "the device that does DMA: 0000:01:00.0, or 01:00.0")
    .argument("[provider]", "the device whose BAR it reaches")
    .option("--kernel <version>", "by the rules of this kernel; without it, of the captured one", version)
    .action((file: string, a: string | undefined, b: string | undefined, options: P2pOptions) => {
      if (a !== undefined && b === undefined)
        throw new InputError(`${a}: a pair has two devices. Name a second one, or none for the matrix`);
      p2p(cli, file, options, a === undefined ? null : [a, b as string]);
    });

  cli
    .command("capture", "save what the other commands need to know of this host")
    .option("--root <dir>", "read sysfs and proc below this directory instead of the running host's", "/")
    .option("--out <file>", "write it there; without it, to stdout")
    .action((options: { root: string; out?: string }) => {
      if (!existsSync(options.root))
        throw new InputError(`${options.root}: no such directory. It is the one that sys and proc are in`);
      const name = options.root === "/" ? "this host" : basename(resolve(options.root));
      const json = captureToJson(captureTree(directoryTree(options.root), name)).trimEnd();
      if (options.out === undefined) return cli.io.out(`${json}\n`);
      save(options.out, `${json}\n`);
      cli.io.err(`dma-buf: ${options.out} written. Look at it with \`dma-buf machine ${options.out}\`\n`);
    });
}

interface P2pOptions {
  readonly json?: boolean;
  readonly kernel?: KernelVersion;
}

function p2p(cli: Cli, file: string, options: P2pOptions, pair: readonly [string, string] | null): void {
  const capture = readMachine(file);
  const topology = topologyOf(capture, options.kernel ? { kernel: options.kernel } : {});
  if (pair) {
    const report = pairReport(capture, topology, ...pair);
    return cli.print(
      options.json,
      () => report,
      () => renderPair(report, cli.io),
    );
  }
  const matrix = p2pMatrix(topology);
  const report = matrixReport(capture, topology, matrix);
  cli.print(
    options.json,
    () => report,
    () => renderMatrix(report, matrix, cli.io),
  );
}

function version(value: string): KernelVersion {
  const found = kernelVersion(value);
  if (!found) throw new InvalidArgumentError(`a kernel version is two numbers and a dot: 6.13`);
  return found;
}

/** A capture that is there already is not written over: it may be of another host. */
function save(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: "wx" });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const why =
      code === "EEXIST" ? "exists, and is not written over. Name another file" : `cannot be written: ${message}`;
    throw new InputError(`${file}: ${why}`, { cause });
  }
}
