import process from 'node:process';
import { DecisionMaker, type DecisionLog } from './autoscaler/decision-maker.js';
import { decisionToJson } from './autoscaler/decision.js';
import { type Environment, InvalidSettings, readSettings } from './config/settings.js';
import { systemClock } from './config/system-clock.js';
import { awsPlace } from './ports/aws/aws-calls.js';
import { CloudWatchFleetMetrics } from './ports/fleet-metrics/cloudwatch-fleet-metrics.js';
import { EcsFleet } from './ports/fleet/ecs-fleet.js';

/** One JSON line each, as CloudWatch Logs takes apart. */
const log: DecisionLog = {
  log: (message) => say({ level: 'info', message }),
  error: (message, cause) => {
    const reason = cause instanceof Error ? cause.message : undefined;
    const deeper = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : undefined;
    say({ level: 'error', message, ...(reason && { reason }), ...(deeper && { cause: deeper }) });
  },
};

/** Made once for each execution environment: warm invocations keep connections and the wishes of the last minutes. */
let maker: DecisionMaker | undefined;

/**
 * The AWS Lambda function that EventBridge starts: one decision of the autoscaler, from CloudWatch, on the ECS service. The
 * event says nothing that is needed. Answers the decision. A count that could not be decided or set is an error of the
 * invocation, so that an alarm on errors sees it; the next invocation tries again.
 * @throws InvalidSettings when the function's environment is not complete.
 */
export async function handler(_event?: unknown): Promise<ReturnType<typeof decisionToJson>> {
  maker ??= makerOf(process.env);
  const decision = await maker.decide();
  const answer = decisionToJson(decision);
  say({ level: 'info', message: 'decision', ...answer });
  if (decision.outcome === 'failed') throw new Error(decision.reason ?? 'The decision failed.');
  return answer;
}

function makerOf(environment: Environment): DecisionMaker {
  const settings = readSettings({ ...environment, EUGLENA_ROLE: 'autoscaler' });
  if (settings.ecs.service === null) throw new InvalidSettings(['ECS_CLUSTER, ECS_SERVICE: needed here']);
  const place = awsPlace(settings.aws);
  return new DecisionMaker({
    metrics: new CloudWatchFleetMetrics(place, settings.queueName, systemClock),
    fleet: new EcsFleet(place, settings.ecs.service),
    scaling: settings.scaling,
    dryRun: settings.autoscaler.dryRun,
    clock: systemClock,
    log,
  });
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
