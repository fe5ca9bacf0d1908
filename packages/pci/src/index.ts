/**
 * PCI topology: who is below whom, how a request travels, and what Linux says about peers.
 *
 * @packageDocumentation
 */
export type { Capture, Cpu, HostFacts, Skipped, Unknown } from "./capture/capture.js";
export { CaptureError, type CaptureErrorCode } from "./capture/capture-error.js";
export { captureFromJson, captureToJson } from "./capture/json.js";
export { parseLspci } from "./capture/lspci.js";
export { parseCapture } from "./capture/parse.js";
export { captureTree } from "./capture/sysfs.js";
export type { Tree } from "./capture/tree.js";
export { type CatalogueOptions, type CatalogueTopology, t1, t2 } from "./catalogue.js";
export type {
  Acs,
  AcsBits,
  Ats,
  Bar,
  Bridge,
  BridgeWindow,
  Maybe,
  PciFunction,
  PortType,
  UnsizedBar,
} from "./function.js";
export type { CpuClue, HostBridge, Listing } from "./host-bridge.js";
export { iommuGroups, isIsolated } from "./iommu-group.js";
export { type KernelVersion, kernelVersion } from "./kernel-version.js";
export { type P2pAnswer, type P2pRuling, p2pRuling, p2pVerdict, type Redirect } from "./p2p.js";
export { P2pCache } from "./p2p-cache.js";
export { type P2pMatrix, type PeerClass, p2pMatrix } from "./p2p-matrix.js";
export { type PeerPath, peerBar, peerPaths } from "./p2p-path.js";
export { type Hop, type Route, type RouteEnd, type RouteOptions, route, routeFromRoot } from "./route.js";
export { Topology, type TopologyInit, type TopologyOptions, topologyOf } from "./topology.js";
