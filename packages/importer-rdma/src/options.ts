/** What a user of this package may choose, and what the driver is right because of. */

/**
 * What keeps the driver right, each to be taken out on purpose to see what it is for. All true, all is kept.
 */
export interface RdmaGuards {
  /**
   * Where the contract tells addresses to a caller that holds nothing: ask again when an invalidate came between the answer
   * and the translation table.
   */
  readonly retry: boolean;
  /** Wait for KERNEL fences before the device may use the memory. */
  readonly fences: boolean;
  /** Do what the invalidate callback asks for at all. */
  readonly zap: boolean;
  /** Flush the translations that the device cached, when they are taken out of the table. */
  readonly flush: boolean;
  /** Let the callback return only when no request is between its look-up and its arrival. */
  readonly drain: boolean;
  /** Take the key away before the memory region is unmapped. */
  readonly key: boolean;
  /** Unmap before the attachment goes. */
  readonly unmap: boolean;
}

/** `rdmaImporter(options)`. */
export interface RdmaOptions {
  /** For the trace and findings. @defaultValue the name of the first function */
  readonly name?: string;
  /** The code as it was merged, which knows nothing of a contract that was only posted. @defaultValue false */
  readonly asPosted?: boolean;
  /**
   * Page sizes that the device's translation table can have, log2 of bytes, from 12 to 52; 12 should be among them. An MR has
   * one of them. Others, and an empty list, are `EINVAL` where the importer is made.
   * @defaultValue 12, 21, 30
   */
  readonly pageSizesLog2?: readonly number[];
  /**
   * Fault injection: every request is sent by this function (an index into `host.functions`), whatever the memory region was
   * mapped for. @defaultValue the function that the memory region was registered with
   */
  readonly issuesFrom?: number;
  /**
   * Fault injection: every attachment is made for this function (an index into `host.functions`), and what the exporter says
   * of it is used by the one that the memory region was registered with. @defaultValue that one
   */
  readonly attachesFor?: number;
  /** Fault injection: guards that are taken out. @defaultValue none */
  readonly guards?: Partial<RdmaGuards>;
}

export const ALL_GUARDS: RdmaGuards = {
  retry: true,
  fences: true,
  zap: true,
  flush: true,
  drain: true,
  key: true,
  unmap: true,
};
