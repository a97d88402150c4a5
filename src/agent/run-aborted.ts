/**
 * Why a run ended before its task did.
 * `cancelled`: its owner ended the task. `lease_lost`: another worker has it, or may. `deadline`: it ran too long.
 * `drain`: this worker stops and hands the task back.
 */
export type AbortReason = 'cancelled' | 'lease_lost' | 'deadline' | 'drain';

export class RunAborted extends Error {
  override readonly name = 'RunAborted';
  constructor(readonly reason: AbortReason) {
    super(`the run was aborted: ${reason}`);
  }
}
