/**
 * `VFIO_DEVICE_FEATURE`: what the kernel makes of the bytes. The array is all of the user's memory: what lies beyond its
 * end cannot be read. Linux 7.3: drivers/vfio/vfio_main.c, drivers/vfio/pci/vfio_pci_dmabuf.c.
 */
import { hex } from "@dma-buf/core";
import {
  DMA_BUF_BYTES,
  type DmaBufFeature,
  HEADER_BYTES,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_FLAG,
} from "./feature-layout.js";
import type { VfioHost } from "./host.js";
import { shown } from "./shape.js";
import { type Allocator, claimedBar, needMemory, needRanges, RANGE_BYTES, refusal } from "./validate.js";

const { GET, SET, PROBE } = VFIO_DEVICE_FEATURE_FLAG;
const FEATURE_MASK = 0xffff;

/** What the kernel and the driver of the function can do. */
export interface FeatureSupport {
  /** Linux: `CONFIG_VFIO_PCI_DMABUF`. @defaultValue true */
  readonly dmaBuf?: boolean;
  /** Linux: `get_dmabuf_phys`, which a variant driver may lack. @defaultValue true */
  readonly getDmabufPhys?: boolean;
}

/**
 * Reads a request, up to where its ranges themselves are looked at; `"probe"`: nothing is to be done, the answer is 0.
 * `argsz` is not held against the number of ranges: they are read wherever they end. Other features are not here.
 * @throws DmaBufError at stage `export`: `EFAULT` memory that cannot be read · `EINVAL` sizes or flags · `ENOTTY` another
 * feature, or a kernel without this one · `EOPNOTSUPP` a driver without it · `ENODEV` no such BAR · `ENOMEM` more ranges
 * than one allocation holds, before any is read
 */
export function decodeFeature(
  arg: Uint8Array,
  host: VfioHost,
  env?: Allocator,
  support: FeatureSupport = {},
): DmaBufFeature | "probe" {
  if (!ArrayBuffer.isView(arg))
    throw refusal("EFAULT", `the argument is ${shown(arg)}, which is no memory: give a Uint8Array`, { arg });
  const view = new DataView(arg.buffer, arg.byteOffset, arg.byteLength);
  needReadable(arg, 0, HEADER_BYTES);
  const argsz = view.getUint32(0, true);
  const flags = view.getUint32(4, true);
  checkHeader(argsz, flags);
  needSupport(flags & FEATURE_MASK, host, support);
  if (isProbe(flags)) return "probe";
  needRoom(argsz);
  needReadable(arg, HEADER_BYTES, DMA_BUF_BYTES);
  return readRequest(arg, view, host, env);
}

/** What VFIO looks at before it asks whose feature it is. Linux: `vfio_ioctl_device_feature()`. */
function checkHeader(argsz: number, flags: number): void {
  if (argsz < HEADER_BYTES)
    throw refusal("EINVAL", `argsz ${argsz} is less than the header of ${HEADER_BYTES} bytes: give the whole size`, {
      argsz,
    });
  if (flags & ~(FEATURE_MASK | GET | SET | PROBE))
    throw refusal("EINVAL", `flags ${hex(flags)} has bits that mean nothing: clear all above PROBE`, { flags });
  if (!(flags & PROBE) && flags & GET && flags & SET)
    throw refusal("EINVAL", "GET and SET exclude each other but for PROBE: choose one", { flags });
}

function needSupport(feature: number, host: VfioHost, support: FeatureSupport): void {
  const { dmaBuf = true, getDmabufPhys = true } = support;
  if (feature !== VFIO_DEVICE_FEATURE_DMA_BUF)
    throw refusal("ENOTTY", `feature ${feature} is not modelled: ask for dma-buf, ${VFIO_DEVICE_FEATURE_DMA_BUF}`, {
      feature,
    });
  if (!dmaBuf)
    throw refusal("ENOTTY", "this kernel has no dma-buf feature (support.dmaBuf): build in VFIO_PCI_DMABUF", {
      feature,
    });
  if (!getDmabufPhys)
    throw refusal("EOPNOTSUPP", `the driver of ${host.name} has no get_dmabuf_phys: use one that exports`, { feature });
}

/** Linux: `vfio_check_feature()`, for a feature that can be got. */
function isProbe(flags: number): boolean {
  if (flags & SET) throw refusal("EINVAL", "dma-buf cannot be SET, and not be probed for it: GET it", { flags });
  if (flags & PROBE) return true;
  if (!(flags & GET)) throw refusal("EINVAL", "neither GET nor PROBE: say what to do", { flags });
  return false;
}

function needRoom(argsz: number): void {
  const least = HEADER_BYTES + DMA_BUF_BYTES;
  if (argsz < least)
    throw refusal("EINVAL", `argsz ${argsz} has no room for the request: give ${least} or more`, { argsz });
}

/** Linux: `vfio_pci_core_feature_dma_buf()`, as far as the user's memory is read. */
function readRequest(arg: Uint8Array, view: DataView, host: VfioHost, env: Allocator | undefined): DmaBufFeature {
  const word = (at: number): number => view.getUint32(at, true);
  const regionIndex = word(8);
  const flags = word(16);
  const count = word(20);
  needRanges(count);
  if (flags !== 0) throw refusal("EINVAL", `the request's flags are ${hex(flags)}: none is defined, give 0`, { flags });
  claimedBar(host, regionIndex);
  // The kernel would answer EOVERFLOW for a product beyond its size_t; with 64 bits, no count makes one.
  needMemory(env, "memdup_array_user", count);
  const first = HEADER_BYTES + DMA_BUF_BYTES;
  needReadable(arg, first, count * RANGE_BYTES);
  const ranges = Array.from({ length: count }, (_, i) => ({
    offset: view.getBigUint64(first + i * RANGE_BYTES, true),
    length: view.getBigUint64(first + i * RANGE_BYTES + 8, true),
  }));
  return { regionIndex, openFlags: word(12), ranges };
}

/** Linux: `copy_from_user()`. */
function needReadable(arg: Uint8Array, from: number, sizeBytes: number): void {
  const end = from + sizeBytes;
  if (end <= arg.byteLength) return;
  const message = `bytes ${from} to ${end} cannot be read: the memory ends at ${arg.byteLength}`;
  throw refusal("EFAULT", message, { from, sizeBytes });
}
