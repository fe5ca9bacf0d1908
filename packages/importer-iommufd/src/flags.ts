/** Numbers of the uAPI that mean something. Linux 7.3: include/uapi/linux/iommufd.h. */

/**
 * Flags of MAP, MAP_FILE and COPY.
 * @example
 * IOMMU_IOAS_MAP_FLAGS.WRITEABLE | IOMMU_IOAS_MAP_FLAGS.READABLE; // 6
 */
export const IOMMU_IOAS_MAP_FLAGS = { FIXED_IOVA: 1, WRITEABLE: 2, READABLE: 4 } as const;
/** All of them: a value above has a bit that is none. */
export const MAP_FLAGS_ALL = 7;

/**
 * `option_id` of `IOMMU_OPTION`.
 * @example
 * IOMMU_OPTION_ID.HUGE_PAGES; // 1
 */
export const IOMMU_OPTION_ID = { RLIMIT_MODE: 0, HUGE_PAGES: 1 } as const;
/**
 * `op` of `IOMMU_OPTION`.
 * @example
 * IOMMU_OPTION_OP.GET; // 1
 */
export const IOMMU_OPTION_OP = { SET: 0, GET: 1 } as const;
