/**
 * PCI topology: who is below whom, how a request travels, and what Linux says about peers.
 *
 * @packageDocumentation
 */
export { CaptureError } from "./capture-error.js";
export { type CatalogueOptions, type CatalogueTopology, t1, t2 } from "./catalogue.js";
export type { Acs, AcsBits, Bar, Bridge, BridgeWindow, PciFunction, PortType } from "./function.js";
export { type Capture, parseLspci } from "./lspci.js";
export { p2pVerdict } from "./p2p.js";
export { type Hop, type Route, type RouteEnd, route, routeFromRoot } from "./route.js";
export { type Cpu, type HostBridge, Topology, type TopologyInit, topologyOf } from "./topology.js";
