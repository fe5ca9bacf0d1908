/**
 * Scatter lists that hold millions of segments: addresses and sizes in two typed arrays, a `Run` only where one is asked
 * for. And what exporters make them of: physical ranges, mapped for one device, or told frame by frame.
 *
 * @packageDocumentation
 */
export { checked, checkedWindow } from "./checked-window.js";
export { type MapOptions, mapPhysVecs, type PhysVecTable } from "./map.js";
export { frameAt, pfnsOf, type PhysVec, sizeOf, sliceOf } from "./phys-vec.js";
export { clipped, joined } from "./runs.js";
export { type Reach, reachAnnotated, reachAsMapped, reachByFrame, type Reached } from "./reach.js";
export { p2pDistance, whyNotByPfn } from "./route.js";
export { type Common, ScatterList, type ScatterListOptions, SEGMENT_BYTES_MAX } from "./scatter-list.js";
