/** What to call a function: sysfs and config space have numbers where lspci has names. */
import type { PciFunction } from "@dma-buf/pci";

export function nameOf({ name, className, classCode, vendor, device }: PciFunction): string {
  if (name) return name;
  const kind = className || (classCode === null ? "function" : `class ${hex(classCode >>> 8)}`);
  return vendor === null || device === null ? kind : `${kind} [${hex(vendor)}:${hex(device)}]`;
}

function hex(number: number): string {
  return number.toString(16).padStart(4, "0");
}
