/**
 * Scatter lists that hold millions of segments: addresses and sizes in two typed arrays, a `Run` only where one is asked
 * for. What an exporter returns from `mapDmaBuf` when there are too many segments for one object each.
 *
 * @packageDocumentation
 */
export { type Common, ScatterList, type ScatterListOptions, SEGMENT_BYTES_MAX } from "./scatter-list.js";
