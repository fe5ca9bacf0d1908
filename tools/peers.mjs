// docs/peer-to-peer.md: how the question is asked and how the answer is read, with what the command prints of captured hosts.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..");
const LAPTOP = "laptop-nvidia-optane.lspci.txt";

/** @returns {Record<string, string>} the page, by its path */
export function peerPages() {
  return { "docs/peer-to-peer.md": PAGE };
}

function printed(...words) {
  const command = ["packages/cli/bin/dma-buf.js", ...words.map((w) => (w === LAPTOP ? join("machines", w) : w))];
  const env = { ...process.env, NO_COLOR: "1" };
  const out = execFileSync(process.execPath, command, { cwd: ROOT, encoding: "utf8", env });
  return `\`\`\`text\n$ dma-buf ${words.join(" ")}\n${out.trimEnd()}\n\`\`\``;
}

const PAGE = `# Will peer-to-peer DMA work between these two devices?

Two questions, with two answers that can contradict each other:

- **Does Linux allow it?** The rule of \`pci_p2pdma_distance()\`: two functions below one switch are peers by *bus address*,
  unless a port on the way has ACS redirect set; everything else goes *through the host bridge*, if the CPU or the kernel's
  list of host bridges says that it forwards; or else it is *not supported*.
- **Does the hardware do it?** Below a switch, windows and ACS decide, and a capture shows both. Above a root port, the root
  complex decides, and no register says how.

## A host

${printed("p2p", LAPTOP)}

## A pair

Client first, then the device whose BAR it is to reach; both directions are printed, since the way of a request depends on
who sends it.

${printed("p2p", LAPTOP, "04:00.0", "38:00.0")}

And one that Linux refuses:

${printed("p2p", LAPTOP, "6d:00.0", "01:00.0")}

## How to read it

| words | meaning |
|---|---|
| bus address | the DMA API hands out the BAR's bus address; requests stay below the common switch, and no IOMMU sees them |
| through the host bridge | it hands out an IOVA where the default domain translates, or else the CPU's address; the root complex has to forward |
| not supported | \`dma_buf_map_attachment()\` and \`pci_p2pdma_distance()\` refuse; drivers that do not ask may still try |
| distance | hops; the smaller, the better |
| ACS ReqRedir, CmpltRedir, EgressCtrl | what the rule looks for, in the control register of every function on both paths up to the common switch, and of the two themselves |
| to change it | what would make the answer a better one, and what that gives up |
| unknown, because … | the capture does not hold the fact; every answer that is possible is printed, the worst first |

By default the rules are those of the captured kernel, or of Linux 7.3 where a capture does not name one; \`--kernel 5.15\`
asks an older one. Verdicts of a running kernel may differ where it has cached them: it reads ACS when it first asks, and
never again for that pair as long as the provider's driver is bound.

## Captures

| command | holds |
|---|---|
| \`sudo dma-buf capture --out my-host.json\` | all that sysfs, /proc and config space have; \`--root DIR\` for a copied tree |
| \`sudo lspci -vvvnn > my-host.txt\` | topology, BARs, ACS; no CPU, no kernel, no bus offset. Without \`sudo\` no ACS, without \`-nn\` no ids |
| \`sudo lspci -xxxx > my-host.txt\` | the registers; no sizes of BARs |
| \`tar czf my-host.tar.gz -C / sys/bus/pci sys/devices sys/kernel/iommu_groups sys/class/iommu proc/cpuinfo proc/cmdline proc/sys/kernel/osrelease\` | as the first, for a host without Node; tar says that files shrank, as sysfs has it, and goes on |

Archives are tar, packed with gzip, bzip2 or not at all. Text may be quoted, wrapped or cut: what could be read is used, what could not is listed by \`dma-buf machine\` as skipped,
and what is missing as unknown.

Sources: Linux 7.3, drivers/pci/p2pdma.c; PCI Express, access control services. Without the device quirks by which the kernel
counts some ports as isolated.
`;
