/** Failure Reason (0008,1197) of instances that are not stored (PS3.18 Table I.2-2, PS3.4 B.2.3, PS3.7 Annex C). */
export const storeReasons = {
  /** A person took the instance's pack out of its flow, or the flow failed: send it again. */
  processingFailure: 0x0110,
  /** Another instance was archived before under this SOP Instance UID. This one is kept beside it and is not current. */
  conflict: 0x0111,
  /** 8 GiB or more. */
  outOfResources: 0xa700,
  /** The data set belongs to another study than the URL names. */
  otherStudy: 0xa901,
  /** The metadata names bulk data that no part of the request brings. */
  missingBulkData: 0xa922,
  /** Pixel Data came in a transfer syntax that this service does not put together. */
  transferSyntax: 0xc122,
  /** Not a Part 10 file, a part of another media type, no identifying UIDs, or quarantined by validation. */
  notUnderstood: 0xc000,
} as const;
