/**
 * An importer of yours in the place of a NIC: ours, and its fault handler does not look again whether the exporter
 * invalidated while it asked. What that costs is a cell of the comparison.
 */
import { rdmaImporter } from "@dma-buf/importer-rdma/pfn";

const create = (options) => rdmaImporter({ ...options, guards: { ...options?.guards, retry: false } });

export const dmaBufPlugin = {
  schemaVersion: 1,
  kind: "importer",
  name: "my-nic",
  plays: "rdma",
  contracts: ["pfn"],
  capabilities: [],
  create,
};
