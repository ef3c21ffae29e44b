/**
 * Changes of a running workflow's order of steps, by the ID that `patched()` takes. One goes when no flow of before it runs any more and its
 * recorded history is deleted.
 */
export const patches = {
  /** studyLifecycle asks settleStudy before its routes: a commit does not look into other studies any more. */
  settleBeforeRoutes: 'settle-before-routes',
  /** retrieveStudy records who asked and how it ended, and names what it did not get to. */
  recordedMoves: 'recorded-moves',
  /** sweepTenant asks the sources of a damaged pack before a person; before, it verified it again and parked. */
  healDamagedPacks: 'heal-damaged-packs',
  /** sweepTenant removes what no commit names, and writes what it saw into the audit. */
  sweepRemovesOrphans: 'sweep-removes-orphans',
} as const;
