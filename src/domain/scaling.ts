/** How many agents should run. Pure; `docs/scaling.md` tells users the same. */

/** Only work seen within this time counts. In ms. */
export const SCALING_WINDOW_MS = 300_000;
/** A newest datapoint older than this says nothing about now. In ms. */
export const STALE_AFTER_MS = 90_000;
/** A datapoint dated further ahead than two clocks may differ is ignored. In ms. */
const FUTURE_TOLERANCE_MS = 60_000;

const SENTENCES = {
  backlog: 'The waiting and the running tasks, divided by the target for each worker.',
  busy_workers: 'As many workers as are busy: the fleet never shrinks below the work in hand.',
  minimum: 'Fewer would do; MIN_WORKERS is the smallest count.',
  maximum: 'More are wanted; MAX_WORKERS is the largest count.',
  recent_peak: 'Fewer would do now; the count waits for the highest recent wish to pass.',
  workers_starting: 'Fewer would do now; the count stays until all workers that were asked for have started.',
  queue_depth: 'The mean of the waiting tasks over 5 minutes, divided by the target for each worker.',
  queue_empty: 'No task waited in the last 5 minutes: MIN_WORKERS.',
  no_data: 'There is no datapoint of the last 5 minutes: the count stays.',
  stale_data: 'The newest datapoint is older than 90 seconds: the count stays.',
  unusable_data: 'The newest datapoint is no usable number or lies in the future: the count stays.',
} as const;

/** Why a decision is what it is. The last three hold the count. */
export type ScalingRule = keyof typeof SENTENCES;

/** One plain sentence about a rule. */
export function explain(rule: ScalingRule): string {
  return SENTENCES[rule];
}

/** What waited and what ran at one moment. */
export interface ScalingSample {
  /** Epoch milliseconds. */
  readonly at: number;
  /** Messages that wait for a worker. */
  readonly queueDepth: number;
  /** Messages in workers' hands. */
  readonly inFlight: number;
  readonly busyWorkers: number;
}

export interface ScalingObservation {
  /** Epoch milliseconds. */
  readonly now: number;
  /** The count that is wanted so far. */
  readonly current: number;
  /** Workers that were asked for and do not run yet; 0 if not given. */
  readonly pending?: number;
  /** Samples since {@link lookBackMs} ago, in any order; older ones are ignored. */
  readonly samples: readonly ScalingSample[];
}

export interface ScalingSettings {
  /** `queue-depth` is the plain formula: mean depth over target, without stabilisation. */
  readonly policy: 'backlog' | 'queue-depth';
  /** Tasks that one worker is to have, waiting ones included; at least 1. */
  readonly targetMessagesPerWorker: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** How long fewer workers must have been enough before there are fewer, in ms. Policy `backlog` only. */
  readonly scaleInAfterMs: number;
}

/** How far back a decision looks, in ms. */
export function lookBackMs({ scaleInAfterMs }: Pick<ScalingSettings, 'scaleInAfterMs'>): number {
  return Math.max(SCALING_WINDOW_MS, scaleInAfterMs);
}

/** The count that an earlier decision would have liked. */
export interface Wish {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly workers: number;
}

/** What a decision was made from; null where it was not known or plays no part. */
export interface ScalingInputs {
  readonly current: number;
  readonly ready: number | null;
  readonly inFlight: number | null;
  readonly busyWorkers: number | null;
  /** Age of the newest datapoint. */
  readonly dataAgeSeconds: number | null;
  /** Policy `queue-depth` only. */
  readonly meanQueueDepth: number | null;
  /** Workers that were asked for and do not run yet. */
  readonly pending: number;
  /** The highest wish within `scaleInAfterMs`, this one included. Policy `backlog` only. */
  readonly recentPeak: number | null;
  readonly targetMessagesPerWorker: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
}

export interface ScalingDecision {
  readonly desired: number;
  readonly rule: ScalingRule;
  readonly inputs: ScalingInputs;
  /** What to hand in as `history` next time. A held count counts as wished for. */
  readonly history: readonly Wish[];
}

/**
 * Decides the count. Policy `backlog`, with R ready messages, U the larger of messages in flight and busy workers, and
 * N the target: `ceil((R + U) / N)`, at least the busy workers, within the limits. A larger count applies at once; a
 * smaller one only down to the highest wish of the last `scaleInAfterMs`, taken from `history` and from the samples, so
 * that an empty history is safe too. While workers are starting the count does not fall. Without usable data the count
 * stays, but for one below the minimum, which is raised.
 */
export function desiredWorkers(
  observation: ScalingObservation,
  settings: ScalingSettings,
  history: readonly Wish[],
): ScalingDecision {
  const past = observation.samples.filter((sample) => sample.at <= observation.now + FUTURE_TOLERANCE_MS);
  const recent = past.filter((sample) => sample.at >= observation.now - SCALING_WINDOW_MS);
  const wishes = history.filter((wish) => wish.at >= observation.now - settings.scaleInAfterMs);
  const context = { observation, settings, past, recent, wishes };
  if (recent.length === 0) return hold(context, whyNothingRecent(observation, past));
  const decision = settings.policy === 'queue-depth' ? byQueueDepth(context) : byBacklog(context);
  return notWhileStarting(decision, observation);
}

/** A count that falls while workers start would stop some that were asked for a moment ago. */
function notWhileStarting(decision: ScalingDecision, observation: ScalingObservation): ScalingDecision {
  const { current, pending = 0 } = observation;
  if (pending === 0 || decision.desired >= current) return decision;
  return { ...decision, desired: current, rule: 'workers_starting' };
}

function whyNothingRecent(observation: ScalingObservation, past: readonly ScalingSample[]): ScalingRule {
  if (past.length > 0) return 'stale_data';
  return observation.samples.length > 0 ? 'unusable_data' : 'no_data';
}

interface Context {
  readonly observation: ScalingObservation;
  readonly settings: ScalingSettings;
  /** Not from the future. */
  readonly past: readonly ScalingSample[];
  /** Of these, those of the last 5 minutes. Never empty but for a hold. */
  readonly recent: readonly ScalingSample[];
  readonly wishes: readonly Wish[];
}

function byBacklog(context: Context): ScalingDecision {
  const { observation, settings, recent, past } = context;
  const newest = newestOf(recent);
  if (newest === null || !isUsable(newest)) return hold(context, 'unusable_data');
  if (observation.now - newest.at > STALE_AFTER_MS) return hold(context, 'stale_data');

  const wish = wishOf(newest, settings);
  const seen = past
    .filter((sample) => sample.at >= observation.now - settings.scaleInAfterMs && isUsable(sample))
    .map((sample) => wishOf(sample, settings).workers);
  const wished = context.wishes.map((earlier) => clamp(earlier.workers, settings));
  const recentPeak = Math.max(wish.workers, ...seen, ...wished);
  const desired = Math.max(wish.workers, Math.min(observation.current, recentPeak));
  return {
    desired,
    rule: desired > wish.workers ? 'recent_peak' : wish.rule,
    inputs: inputsOf(context, { recentPeak }),
    history: [...context.wishes, { at: observation.now, workers: wish.workers }],
  };
}

function byQueueDepth(context: Context): ScalingDecision {
  const { observation, settings } = context;
  const depths = context.recent.map((sample) => sample.queueDepth).filter(isAmount);
  if (depths.length === 0) return hold(context, 'unusable_data');
  // Each depth is divided first, so that huge ones cannot add up to infinity.
  const meanQueueDepth = depths.reduce((sum, depth) => sum + depth / depths.length, 0);
  const { workers, rule } = bounded(
    Math.ceil(meanQueueDepth / settings.targetMessagesPerWorker),
    meanQueueDepth === 0 ? 'queue_empty' : 'queue_depth',
    settings,
  );
  return {
    desired: workers,
    rule: meanQueueDepth === 0 ? 'queue_empty' : rule,
    inputs: inputsOf(context, { meanQueueDepth }),
    history: [...context.wishes, { at: observation.now, workers }],
  };
}

/** The held count becomes a wish: after an outage the fleet does not shrink in its first moment of sight. */
function hold(context: Context, rule: ScalingRule): ScalingDecision {
  const { observation, settings, wishes } = context;
  const desired = Math.max(observation.current, settings.minWorkers);
  return {
    desired,
    rule,
    inputs: inputsOf(context, {}),
    history: [...wishes, { at: observation.now, workers: desired }],
  };
}

function wishOf(sample: ScalingSample, settings: ScalingSettings): { workers: number; rule: ScalingRule } {
  const running = Math.max(sample.inFlight, sample.busyWorkers);
  const backlog = Math.ceil((sample.queueDepth + running) / settings.targetMessagesPerWorker);
  const busy = Math.ceil(sample.busyWorkers);
  return bounded(Math.max(backlog, busy), busy > backlog ? 'busy_workers' : 'backlog', settings);
}

function bounded(raw: number, rule: ScalingRule, settings: ScalingSettings) {
  const workers = clamp(raw, settings);
  if (raw > workers) return { workers, rule: 'maximum' as const };
  return { workers, rule: raw < workers ? ('minimum' as const) : rule };
}

function clamp(workers: number, settings: ScalingSettings): number {
  return Math.min(settings.maxWorkers, Math.max(settings.minWorkers, workers));
}

function newestOf(samples: readonly ScalingSample[]): ScalingSample | null {
  return samples.reduce<ScalingSample | null>(
    (newest, sample) => (newest === null || sample.at >= newest.at ? sample : newest),
    null,
  );
}

function isAmount(value: number): boolean {
  return Number.isFinite(value) && value >= 0;
}

function isUsable(sample: ScalingSample): boolean {
  return isAmount(sample.queueDepth) && isAmount(sample.inFlight) && isAmount(sample.busyWorkers);
}

function inputsOf(
  { observation, settings, recent }: Context,
  known: { readonly meanQueueDepth?: number; readonly recentPeak?: number },
): ScalingInputs {
  const newest = newestOf(recent);
  const amount = (value: number | undefined) => (value !== undefined && isAmount(value) ? value : null);
  return {
    current: observation.current,
    ready: amount(newest?.queueDepth),
    inFlight: amount(newest?.inFlight),
    busyWorkers: amount(newest?.busyWorkers),
    dataAgeSeconds: newest === null ? null : Math.max(0, (observation.now - newest.at) / 1_000),
    pending: observation.pending ?? 0,
    meanQueueDepth: known.meanQueueDepth ?? null,
    recentPeak: known.recentPeak ?? null,
    targetMessagesPerWorker: settings.targetMessagesPerWorker,
    minWorkers: settings.minWorkers,
    maxWorkers: settings.maxWorkers,
  };
}
