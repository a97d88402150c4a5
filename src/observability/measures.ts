import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** What this process counts, for Prometheus. No label ever holds what a user sent. */
export const registry = new Registry();
const registers = [registry];

const FAST = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const SLOW = [1, 5, 15, 30, 60, 120, 300, 600, 1_200, 1_800];

export const httpRequests = new Counter({
  name: 'euglena_http_requests_total',
  help: 'Requests that were answered, by method, route pattern and status.',
  labelNames: ['method', 'route', 'status'],
  registers,
});
export const httpSeconds = new Histogram({
  name: 'euglena_http_request_duration_seconds',
  help: 'Time to answer a request, by route pattern; event streams do not count.',
  labelNames: ['route'],
  buckets: FAST,
  registers,
});
export const eventStreams = new Gauge({
  name: 'euglena_event_streams',
  help: 'Event streams that are open.',
  registers,
});
export const reconcilerFailures = new Counter({
  name: 'euglena_reconciler_failures_total',
  help: 'Rounds of a reconciler that have to be tried again.',
  labelNames: ['reconciler'],
  registers,
});
export const callbackAttempts = new Counter({
  name: 'euglena_callback_attempts_total',
  help: 'Attempts to tell a callback, by outcome: delivered, retried or failed (given up).',
  labelNames: ['outcome'],
  registers,
});
export const runningTasks = new Gauge({
  name: 'euglena_running_tasks',
  help: 'Tasks that this agent works on.',
  registers,
});
export const endedTasks = new Counter({
  name: 'euglena_tasks_ended_total',
  help: 'Tasks that this agent ended, by status.',
  labelNames: ['status'],
  registers,
});
export const taskSeconds = new Histogram({
  name: 'euglena_task_duration_seconds',
  help: 'Time from the first acceptance of a task to its end by this agent.',
  buckets: SLOW,
  registers,
});
export const ticks = new Counter({
  name: 'euglena_ticks_total',
  help: 'Ticks of this agent, by action.',
  labelNames: ['action'],
  registers,
});
export const modelCalls = new Counter({
  name: 'euglena_model_calls_total',
  help: 'Calls of the language model.',
  registers,
});
export const modelTokens = new Counter({
  name: 'euglena_model_tokens_total',
  help: 'Tokens of the language model, by kind: prompt or completion.',
  labelNames: ['kind'],
  registers,
});
