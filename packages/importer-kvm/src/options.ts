/** What all variants can be told. */
export interface KvmOptions {
  /**
   * The KVM that was posted or merged, where that differs. Of the RFC of January 2025: private-memory VMs and whole buffers
   * only, and the exporter's order is believed. Of either: nobody stops a trusted device before its private mapping goes.
   * @defaultValue false: the best that obeys the contract
   */
  readonly asPosted?: boolean;
  /** A fault to inject, `false`: a fault looks neither at the sequence nor at what is in progress. @defaultValue true */
  readonly retry?: boolean;
  /** A fault to inject, `false`: a fault does not look at what is in progress, at the sequence only. @defaultValue true */
  readonly retryInProgress?: boolean;
  /** A fault to inject: the look before `mmu_lock` is taken is the last one. @defaultValue false */
  readonly unsafeCheckOnly?: boolean;
  /** A fault to inject, `false`: what was zapped is not flushed. @defaultValue true */
  readonly flush?: boolean;
  /** The CPU must not execute out of large pages. Linux: `nx_huge_pages`, on for CPUs with that erratum. @defaultValue false */
  readonly nxHugePages?: boolean;
}
