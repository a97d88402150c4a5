/** `waiting`: the end is still to be told. `failed`: it was tried often enough, or the receiver wants no more. */
export const CALLBACK_STATES = ['waiting', 'delivered', 'failed'] as const;
export type CallbackState = (typeof CALLBACK_STATES)[number];

/** How it stands with telling a task's end to the address that its owner named. */
export interface Callback {
  readonly url: string;
  readonly state: CallbackState;
  readonly attempts: number;
  /** What the newest attempt failed of, for people; null when none did. */
  readonly lastFailure: string | null;
}

/** What became of one attempt; null: the receiver took it. */
export type CallbackFailure = {
  readonly reason: string;
  /** Whether to give up: nothing would change with another attempt. */
  readonly final: boolean;
} | null;

export const CALLBACK_URL_MAX_CHARS = 2_048;
const FAILURE_MAX_CHARS = 200;
/** Waits between attempts in ms, as the Standard Webhooks specification suggests them: eight attempts in about 18 hours. */
const WAITS_MS = [5_000, 60_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000] as const;

export function callbackTo(url: string): Callback {
  return { url, state: 'waiting', attempts: 0, lastFailure: null };
}

/** The callback after one more attempt. */
export function afterAttempt(before: Callback, failure: CallbackFailure): Callback {
  const attempts = before.attempts + 1;
  if (failure === null) return { ...before, state: 'delivered', attempts, lastFailure: null };
  const state = failure.final || attempts > WAITS_MS.length ? 'failed' : 'waiting';
  return { ...before, state, attempts, lastFailure: failure.reason.slice(0, FAILURE_MAX_CHARS) };
}

/** Milliseconds until the attempt after the `attempts`th, up to a tenth longer, so that many do not come at once. */
export function waitAfter(attempts: number, random: () => number): number {
  const wait = WAITS_MS[Math.min(attempts, WAITS_MS.length) - 1] ?? WAITS_MS[0];
  return Math.round(wait * (1 + random() / 10));
}

export function callbackToJson({ url, state, attempts, lastFailure }: Callback) {
  return { url, state, attempts, last_failure: lastFailure };
}

/** Reads what {@link callbackToJson} wrote; null when it is no callback. */
export function callbackFromJson(json: unknown): Callback | null {
  if (typeof json !== 'object' || json === null) return null;
  const { url, state, attempts, last_failure: lastFailure } = json as Record<string, unknown>;
  if (typeof url !== 'string') return null;
  return {
    url,
    state: CALLBACK_STATES.find((known) => known === state) ?? 'waiting',
    attempts: typeof attempts === 'number' && Number.isSafeInteger(attempts) && attempts > 0 ? attempts : 0,
    lastFailure: typeof lastFailure === 'string' ? lastFailure : null,
  };
}
