import { desiredWorkers } from '../../dist/domain/scaling.js';

const MINUTE_MS = 60_000;
/** The limits and the pace of the autoscaler by default. */
const LIMITS = { targetMessagesPerWorker: 1, minWorkers: 1, maxWorkers: 11, scaleInAfterMs: 5 * MINUTE_MS };
const PACE = { everySeconds: 120, lagSeconds: 15 };

/** A policy of the product: production's own code decides. */
function own(policy) {
  return () => {
    let history = [];
    return ({ now, current, pending, samples }) => {
      const recent = samples.filter(({ at }) => at >= (now - 300) * 1_000);
      const observation = { now: now * 1_000, current, pending, samples: recent };
      const decision = desiredWorkers(observation, { ...LIMITS, policy }, history);
      history = decision.history;
      return decision.desired;
    };
  };
}

const HPA_TOLERANCE = 0.1;

/**
 * KEDA's rule as documented: a queue's length over its target, rounded up, by the Horizontal Pod Autoscaler that KEDA
 * makes: every 15 s, by at most 4 pods or 100 % more in 15 s, and fewer only down to the highest wish of 5 minutes. It asks
 * the broker itself, so nothing lags. With HTTP the length includes what is in workers' hands, with AMQP it does not.
 */
function keda(lengthOf) {
  return () => {
    let wishes = [];
    return ({ now, current, samples }) => {
      const length = lengthOf(samples.at(-1));
      const ratio = length / (Math.max(1, current) * LIMITS.targetMessagesPerWorker);
      const steady = Math.abs(ratio - 1) <= HPA_TOLERANCE;
      const raw = steady ? current : Math.ceil(length / LIMITS.targetMessagesPerWorker);
      const wish = Math.min(LIMITS.maxWorkers, Math.max(LIMITS.minWorkers, raw));
      wishes = [...wishes.filter(({ at }) => at > now - 300), { at: now, wish }];
      if (wish > current) return Math.min(wish, current + Math.max(4, current));
      return Math.min(current, Math.max(...wishes.map((earlier) => earlier.wish)));
    };
  };
}

/** `protects`: whether the fleet lets a busy worker finish before it is stopped, as this product's fleets do. */
export const POLICIES = [
  { name: 'backlog (default)', decider: own('backlog'), protects: true, ...PACE },
  { name: 'backlog, unprotected', decider: own('backlog'), protects: false, ...PACE },
  { name: 'queue-depth', decider: own('queue-depth'), protects: false, ...PACE },
  {
    name: 'KEDA over HTTP',
    decider: keda((sample) => sample.queueDepth + sample.inFlight),
    protects: false,
    everySeconds: 15,
    lagSeconds: 0,
  },
  {
    name: 'KEDA over AMQP',
    decider: keda((sample) => sample.queueDepth),
    protects: false,
    everySeconds: 15,
    lagSeconds: 0,
  },
  {
    name: 'always 11',
    decider: () => () => 11,
    protects: true,
    everySeconds: 120,
    lagSeconds: 0,
    initial: 11,
  },
];
